-- Version 7 of the store. Frozen: a later change is a new file.

-- What the event said, in 48 bits: so that another event under its id is known when the journal no longer holds the first.
-- NULL: not known.
ALTER TABLE event_key ADD COLUMN fingerprint INTEGER;

-- The key of fingerprints, without which they say nothing. Forgetting a person replaces it, so that those of events that were
-- purged before say nothing any more.
CREATE TABLE fingerprint_key (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    key       TEXT    NOT NULL,                               -- sealed: 32 hexadecimal digits
    since_seq INTEGER NOT NULL                                -- first event whose fingerprint was made with it
) STRICT;

INSERT INTO fingerprint_key (id, key, since_seq)
VALUES (1, seal(hex(randomblob(16)), 'fingerprint_key'), (SELECT coalesce(max(seq), 0) + 1 FROM journal));

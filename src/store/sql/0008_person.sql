-- Version 8 of the store. Frozen: a later change is a new file.
-- What is known of a person beside the profile: events that changed nothing, and that the person was forgotten.

-- The key of the hashes of identities below, without which they say nothing.
CREATE TABLE identity_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key TEXT    NOT NULL                                      -- sealed: 32 hexadecimal digits
) STRICT;

INSERT INTO identity_key (id, key) VALUES (1, seal(hex(randomblob(16)), 'identity_key'));

-- The newest events that changed no profile, by whom they are about, where the mappings tell.
CREATE TABLE without_effect (
    id         INTEGER PRIMARY KEY,                           -- order in which they came first
    identity   INTEGER NOT NULL,                              -- 64 bits: keyed hash of the identity
    seq        INTEGER NOT NULL,                              -- the event; of a duplicate, the first one of its id
    fate       INTEGER NOT NULL CHECK (fate IN (0, 1, 2)),    -- 0 duplicate, 1 unmapped, 2 rejected
    times      INTEGER NOT NULL CHECK (times > 0),            -- how often it came
    last_at_ms INTEGER NOT NULL,                              -- when it came last, this device's clock
    reason     TEXT,                                          -- sealed; of a rejected event it stands in rejected
    UNIQUE (identity, seq, fate)
) STRICT;

CREATE INDEX without_effect_event ON without_effect (seq);

-- Who was forgotten, so that what this device had sent is not read back as others' part.
CREATE TABLE forgotten (
    identity INTEGER PRIMARY KEY,                             -- 64 bits: keyed hash of the identity
    at_ms    INTEGER NOT NULL,                                -- when, this device's clock
    until_ms INTEGER NOT NULL                                 -- what Target shows as written by then may hold what was forgotten
) STRICT;

-- As forgotten.until_ms, of a person who came again; NULL: was not forgotten.
ALTER TABLE profile ADD COLUMN forgotten_until_ms INTEGER;

-- When a value that is tried again was rejected first.
CREATE TABLE retried (
    profile_id     INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    version        INTEGER NOT NULL,                          -- the one that was rejected
    rejected_at_ms INTEGER NOT NULL,                          -- this device's clock
    PRIMARY KEY (profile_id, name)
) STRICT, WITHOUT ROWID;

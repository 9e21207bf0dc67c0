-- Version 2 of the store. Frozen: a later change is a new file.
-- What Target is known to have, and batches on their way there.

-- Whether Target has the profile: 0 unknown, 1 yes, 2 no; and when that was last known.
ALTER TABLE profile ADD COLUMN existence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE profile ADD COLUMN existence_at_ms INTEGER;

-- The batch that the profile is in; NULL: none.
ALTER TABLE profile ADD COLUMN batch_id INTEGER;

-- How often its row has failed in batches, since one succeeded.
ALTER TABLE profile ADD COLUMN batch_failures INTEGER NOT NULL DEFAULT 0;

-- The outbox: what is pending and in no batch, the longest waiting first.
DROP INDEX outbox;
CREATE INDEX outbox ON profile (pending_seq) WHERE pending_seq IS NOT NULL AND batch_id IS NULL;
CREATE INDEX batched ON profile (batch_id, id) WHERE batch_id IS NOT NULL;

-- The operation that made the value: 0 set, 1 add, 2 max, 3 min, 4 first, 5 append. 0 also where an older version wrote it.
ALTER TABLE attribute ADD COLUMN operation INTEGER NOT NULL DEFAULT 0;
-- 1: the name is this device's own, and nobody else writes it.
ALTER TABLE attribute ADD COLUMN is_own INTEGER NOT NULL DEFAULT 0;
-- 1: the next page view must know.
ALTER TABLE attribute ADD COLUMN is_urgent INTEGER NOT NULL DEFAULT 0;
-- The way that the delivered version went: number of a route; NULL: never, or by an older version.
ALTER TABLE attribute ADD COLUMN route INTEGER;
-- The version that is in the profile's batch, with its value once the attribute has changed since; 0: none.
ALTER TABLE attribute ADD COLUMN batched_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attribute ADD COLUMN batched_value TEXT;

-- What was read of attributes that others write too, and what was made of it. Also of attributes that this device does not
-- write, as long as a batch carries them along.
CREATE TABLE reading (
    profile_id          INTEGER NOT NULL,
    name                TEXT    NOT NULL,
    read_at_ms          INTEGER NOT NULL,                     -- this device's clock
    read_value          TEXT,                                 -- NULL: Target had none
    read_modified_at_ms INTEGER,                              -- Target's clock
    decision            INTEGER NOT NULL,                     -- number of a decision
    sent_version        INTEGER NOT NULL DEFAULT 0,           -- our version in what was sent; 0: nothing was
    sent_value          TEXT,                                 -- what was sent, or was about to be
    sent_own            TEXT,                                 -- our own value at that time
    sent_at_ms          INTEGER,                              -- Target's clock
    PRIMARY KEY (profile_id, name)
) STRICT, WITHOUT ROWID;

-- Batches: those that are being filled, those on their way, and for a day those that came to their end.
CREATE TABLE batch (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            INTEGER NOT NULL CHECK (kind IN (0, 1)),  -- 0 third_party_id, 1 pc_id
    api             INTEGER NOT NULL CHECK (api IN (1, 2)),   -- version of the API
    state           INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), -- 0 filling, 1 submitting, 2 submitted, 3 complete, 4 given up
    row_count       INTEGER NOT NULL DEFAULT 0,
    byte_count      INTEGER NOT NULL DEFAULT 0,               -- of the file, never too low
    target_id       TEXT,                                     -- Target's name for it, once submitted
    oldest_seq      INTEGER,                                  -- oldest event of which something is in it
    oldest_since_ms INTEGER,                                  -- when that event was recorded
    submitted_at_ms INTEGER,                                  -- the quota's clock
    ended_at_ms     INTEGER                                   -- the quota's clock
) STRICT;

-- The names in the first line of a batch.
CREATE TABLE batch_name (
    batch_id INTEGER NOT NULL,
    name     TEXT    NOT NULL,
    PRIMARY KEY (batch_id, name)
) STRICT, WITHOUT ROWID;

-- Profiles that will be read back.
CREATE TABLE verification (
    profile_id INTEGER PRIMARY KEY,
    due_at_ms  INTEGER NOT NULL                               -- this device's clock
) STRICT;

CREATE INDEX verification_due ON verification (due_at_ms);

-- Reads by the minute, for the rolling quota of the Fetch API; as the table quota.
CREATE TABLE read_quota (
    minute   INTEGER PRIMARY KEY,
    requests INTEGER NOT NULL CHECK (requests > 0)
) STRICT;

-- Version 1 of the store. Frozen: a later change is a new file.

-- Every event that was acknowledged, as it was received, until it is purged. Its newest row is never deleted: the next
-- number is counted from it.
CREATE TABLE journal (
    seq            INTEGER PRIMARY KEY,                      -- order of recording, from 1
    recorded_at_ms INTEGER NOT NULL,                         -- this device's clock, which never runs backwards
    time_ms        INTEGER NOT NULL,                         -- event time as taken
    status         INTEGER NOT NULL CHECK (status IN (0, 1, 2)), -- 0 recorded, 1 unmapped, 2 rejected
    profile_id     INTEGER,                                  -- the first profile that it changed; NULL: none
    event          TEXT    NOT NULL                          -- CloudEvents JSON; empty: erased
) STRICT;

-- The further profiles of the few events that change several.
CREATE TABLE journal_profile (
    seq        INTEGER NOT NULL,
    profile_id INTEGER NOT NULL,
    PRIMARY KEY (seq, profile_id)
) STRICT, WITHOUT ROWID;

-- The key of every event, also of those that the journal no longer holds: the same event is a duplicate however late.
-- Not unique: 64 bits may collide, and then both events are kept.
CREATE TABLE event_key (
    generation INTEGER NOT NULL,                             -- run of seq, so that new keys lie together
    key_hash   INTEGER NOT NULL,                             -- 64 bits of SHA-256 over source and id
    seq        INTEGER NOT NULL,
    PRIMARY KEY (generation, key_hash, seq)
) STRICT, WITHOUT ROWID;

-- One row per identity.
CREATE TABLE profile (
    id               INTEGER PRIMARY KEY,
    kind             INTEGER NOT NULL CHECK (kind IN (0, 1)), -- 0 third_party_id, 1 pc_id
    key              TEXT    NOT NULL CHECK (key <> ''),
    pending_seq      INTEGER,                                 -- event that made it pending; NULL: Target has everything
    pending_since_ms INTEGER,                                 -- when that event was recorded
    UNIQUE (key, kind),
    CHECK ((pending_seq IS NULL) = (pending_since_ms IS NULL))
) STRICT;

-- The outbox: what is pending, the longest waiting first.
CREATE INDEX outbox ON profile (pending_seq) WHERE pending_seq IS NOT NULL;

-- One row per identity and attribute: the newest value, and what Target has of it.
-- Pending: version > max(delivered_version, refused_version).
CREATE TABLE attribute (
    profile_id        INTEGER NOT NULL,
    name              TEXT    NOT NULL CHECK (name <> ''),
    value             TEXT    NOT NULL,
    items             TEXT,                                   -- for `append`: JSON of [time_ms, seq, item]
    event_time_ms     INTEGER NOT NULL,                       -- with event_seq: the event that decided the value
    event_seq         INTEGER NOT NULL,
    mapping           TEXT    NOT NULL,                       -- name of the mapping that wrote it
    version           INTEGER NOT NULL,                       -- seq of the event that last changed the value
    changed_at_ms     INTEGER NOT NULL,                       -- when that event was recorded
    delivered_version INTEGER NOT NULL DEFAULT 0,             -- 0: never
    delivered_value   TEXT,                                   -- what Target has; with `value`, the undelivered part of a sum
    delivered_at_ms   INTEGER,
    refused_version   INTEGER NOT NULL DEFAULT 0,             -- 0: never
    refused_reason    TEXT,                                   -- label of a reason
    PRIMARY KEY (profile_id, name),
    CHECK (delivered_version <= version AND refused_version <= version)
) STRICT, WITHOUT ROWID;

-- What was rejected, until a person retries or drops it: an event (seq) or an update (profile_id), never both.
CREATE TABLE rejected (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    rejected_at_ms INTEGER NOT NULL,
    seq            INTEGER,
    profile_id     INTEGER,
    attributes     TEXT,                                      -- of an update: JSON of [name, version]
    reason         TEXT NOT NULL,                             -- label of a reason
    detail         TEXT NOT NULL,                             -- what failed, or the first words of Target's answer
    CHECK ((seq IS NULL) <> (profile_id IS NULL))
) STRICT;

-- A rejected event is kept in the journal as long as it has a row here.
CREATE UNIQUE INDEX rejected_event ON rejected (seq) WHERE seq IS NOT NULL;

-- Up to which event all was settled at a time, so that the age of an event counts from its delivery.
CREATE TABLE settled_mark (
    at_ms INTEGER PRIMARY KEY,                                -- this device's clock
    seq   INTEGER NOT NULL                                    -- every older event was settled by then
) STRICT;

-- What was saved, each time that the store was found damaged.
CREATE TABLE salvage (
    at_ms      INTEGER PRIMARY KEY,
    kept_as    TEXT    NOT NULL,                              -- name of the damaged file
    profiles   INTEGER NOT NULL,
    attributes INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    rejected   INTEGER NOT NULL
) STRICT;

-- Totals that survive restarts. What can be derived has no row.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests to Target by the minute, for the rolling quota.
CREATE TABLE quota (
    minute   INTEGER PRIMARY KEY,                             -- minutes since 1970, on a clock that keeps step with the monotonic one
    requests INTEGER NOT NULL CHECK (requests > 0)
) STRICT;

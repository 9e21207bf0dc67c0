-- Version 5 of the store. Frozen: a later change is a new file.
-- What was sent, and to whom: so that a value of our own is known again when it is read.

-- Whose deliveries, readings and batches are noted here. With another they are void.
CREATE TABLE destination (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    client_code TEXT NOT NULL,
    endpoint    TEXT NOT NULL,
    device_id   TEXT NOT NULL                                 -- this device's name, which own attributes carry in theirs
) STRICT;

-- The last values that were sent of a profile that others write too, written before they are sent. Sealed JSON, times in ms on
-- Target's clock: "sent": {attribute: [[version, value, our own value then, when, time of what was shown then, 1 if its answer
-- was lost], …]}, oldest first; "carried": {attribute: [hash of others' value, its own time, when a batch wrote it again]}.
CREATE TABLE sends (
    profile_id INTEGER PRIMARY KEY,
    log        TEXT NOT NULL
) STRICT;

-- The row of a profile in its batch, as it is sent. Sealed JSON: [[attribute, value, version, our own value, time of what was
-- shown then], …]; version 0 is an attribute of others, which the batch would remove.
CREATE TABLE batch_row (
    batch_id   INTEGER NOT NULL,
    profile_id INTEGER NOT NULL,
    content    TEXT    NOT NULL,
    PRIMARY KEY (batch_id, profile_id)
) STRICT, WITHOUT ROWID;

-- A profile that Target does not have, and that only the web site can make: since when it waits, and when it is looked for next.
ALTER TABLE profile ADD COLUMN missing_since_ms INTEGER;
ALTER TABLE profile ADD COLUMN look_at_ms INTEGER;

-- The outbox: what is pending, in no batch, and not waiting for its profile to exist.
DROP INDEX outbox;
CREATE INDEX outbox ON profile (pending_seq) WHERE pending_seq IS NOT NULL AND batch_id IS NULL AND look_at_ms IS NULL;
CREATE INDEX missing ON profile (look_at_ms) WHERE look_at_ms IS NOT NULL;

-- 1: an answer was lost, so that the profile is read back, or sent again, whether or not it is in the sample.
ALTER TABLE verification ADD COLUMN is_ambiguous INTEGER NOT NULL DEFAULT 0;

-- What earlier programs noted before sending, or had on its way in a batch when they stopped: its answer is not known.
INSERT INTO sends (profile_id, log)
SELECT profile_id, seal(json_object('sent', json_group_object(name,
    json_array(json_array(version, value, own, at_ms, NULL, is_lost)))), 'sends', profile_id)
FROM (
    SELECT a.profile_id, a.name,
        CASE WHEN a.batched_version > 0 THEN a.batched_version ELSE r.sent_version END AS version,
        open(CASE WHEN a.batched_version = 0 OR r.sent_version = a.batched_version THEN r.sent_value
                  WHEN a.version = a.batched_version THEN a.value
                  ELSE a.batched_value END, 'attribute', a.profile_id, a.name) AS value,
        open(CASE WHEN a.batched_version = 0 OR r.sent_version = a.batched_version THEN r.sent_own
                  WHEN a.version = a.batched_version THEN a.value
                  ELSE a.batched_value END, 'attribute', a.profile_id, a.name) AS own,
        coalesce(r.sent_at_ms, a.changed_at_ms) AS at_ms,
        a.batched_version > a.delivered_version OR coalesce(r.sent_version, 0) > a.delivered_version AS is_lost
    FROM attribute a LEFT JOIN reading r ON r.profile_id = a.profile_id AND r.name = a.name
    WHERE a.is_own = 0 AND (a.batched_version > 0 OR r.sent_version >= a.delivered_version AND r.sent_version > 0))
WHERE value IS NOT NULL AND own IS NOT NULL
GROUP BY profile_id;

INSERT OR REPLACE INTO verification (profile_id, due_at_ms, is_ambiguous)
SELECT id, coalesce(existence_at_ms, pending_since_ms, 0), 1 FROM profile WHERE batch_id IS NOT NULL;

UPDATE profile SET batch_id = NULL WHERE batch_id IS NOT NULL;
UPDATE attribute SET batched_version = 0, batched_value = NULL WHERE batched_version > 0;
UPDATE batch SET state = 4, ended_at_ms = coalesce(submitted_at_ms, 0) WHERE state < 3;
DELETE FROM batch_name;
DELETE FROM reading WHERE decision = 3;

-- A reading tells what was seen and decided; what was sent stands in sends. The columns attribute.batched_version and
-- batched_value are not used any more: to drop them would write every row anew at the start of an update.
ALTER TABLE reading DROP COLUMN sent_version;
ALTER TABLE reading DROP COLUMN sent_value;
ALTER TABLE reading DROP COLUMN sent_own;
ALTER TABLE reading DROP COLUMN sent_at_ms;
DROP TABLE batch_name;

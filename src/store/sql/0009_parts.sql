-- Version 9 of the store. Frozen: a later change is a new file.
-- What is handed over to a hub instead of Target.

-- This store among those of a fleet: with the number of an event it names the event's place among those of all devices.
CREATE TABLE fleet (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    store TEXT NOT NULL                                       -- random: 32 hexadecimal digits
) STRICT;

INSERT INTO fleet (id, store) VALUES (1, lower(hex(randomblob(16))));

-- Parts of sums that are not answered yet. A part is what was added between two values of the attribute; the last one of an
-- attribute may go on to its present value.
CREATE TABLE part (
    profile_id INTEGER NOT NULL,
    name       TEXT    NOT NULL,                              -- of the attribute
    begun_seq  INTEGER NOT NULL,                              -- event that began it
    part       TEXT    NOT NULL,                              -- id: 32 hexadecimal digits
    process    INTEGER NOT NULL,                              -- the process that began it; in another it does not grow
    before     TEXT    NOT NULL,                              -- value before it began
    after      TEXT,                                          -- value at its end; NULL: the attribute's
    version    INTEGER,                                       -- newest event in it; NULL: the attribute's version
    PRIMARY KEY (profile_id, name, begun_seq),
    CHECK ((after IS NULL) = (version IS NULL))
) STRICT, WITHOUT ROWID;

-- Parts that the hub has, as far as it does not know that this is known here.
CREATE TABLE part_answered (
    part TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

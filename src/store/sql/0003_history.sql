-- Version 3 of the store. Frozen: a later change is a new file.

-- How the numbers stood, for the chart of a day: a row for each minute in which something happened.
CREATE TABLE history (
    minute    INTEGER PRIMARY KEY,                            -- minutes since 1970, this device's clock
    recorded  INTEGER NOT NULL,                               -- events, since the store was made
    delivered INTEGER NOT NULL,                               -- updates, since the store was made
    pending   INTEGER                                         -- profiles; NULL: not counted yet
) STRICT;

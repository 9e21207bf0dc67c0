-- Version 4 of the store. Frozen: a later change is a new file.

-- Whether the columns that hold people's data are sealed, and with which key; no row: they are not.
--
-- Sealed are journal.event, profile.key, attribute.value, items, delivered_value and batched_value, reading.read_value,
-- sent_value and sent_own, and rejected.detail: base64 of AES-256-SIV, bound to the row. An empty text stays empty.
CREATE TABLE seal (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    proof TEXT NOT NULL                                       -- a known text, sealed: it opens with the right key alone
) STRICT;

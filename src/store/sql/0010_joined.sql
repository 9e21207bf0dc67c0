-- Version 10 of the store. Frozen: a later change is a new file.
-- Since when this device hands over to a hub.

-- Number of the last event that went to Target itself; NULL: hands over to no hub.
ALTER TABLE fleet ADD COLUMN since_seq INTEGER;

-- Version 6 of the store. Frozen: a later change is a new file.

-- When a batch was submitted, in ms on Target's clock: so that its values are known again after a crash, whatever this device's
-- clock says then.
ALTER TABLE batch ADD COLUMN sent_at_ms INTEGER;

-- Version 1 of the hub's store. Frozen: a later change is a new file.
--
-- Times are milliseconds since 1970 by the database's clock, but for `time_ms`, which are events' times by their device's clock.
-- Keys begin with the profile's hash, so that the tables can be distributed by it and each transaction stays within a few profiles.

-- Devices that joined.
CREATE TABLE device (
    id           bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text    NOT NULL UNIQUE,
    device_group text,
    token_hash   bytea   NOT NULL UNIQUE,                  -- SHA-256
    attempt_hash bytea,                                    -- SHA-256 of the text by which it may ask for its token again
    joined_ms    bigint  NOT NULL,
    revoked_ms   bigint,
    contact_ms   bigint,                                   -- its last request
    clock_off_ms bigint,                                   -- its clock minus ours at that request
    processes    text[]  NOT NULL DEFAULT '{}',            -- the last eight processes that sent one, the newest first
    twins_ms     bigint,                                   -- when one came back that was not the last: two devices with one token
    has_early    boolean NOT NULL DEFAULT false,           -- some of its events were ahead of our clock: see early
    state        text    NOT NULL DEFAULT '{}'             -- as it said itself, JSON
);

-- One row per identity.
CREATE TABLE profile (
    hash       uuid     PRIMARY KEY,                       -- first 128 bits of SHA-256 over the kind and the key
    kind       smallint NOT NULL,                          -- 0 third_party_id, 1 pc_id
    key        text     NOT NULL,
    version    bigint   NOT NULL,                          -- counts the requests that brought something of it
    changed_ms bigint   NOT NULL,
    existence        smallint NOT NULL DEFAULT 0,          -- at Target: 0 unknown, 1 yes, 2 no
    existence_ms     bigint,                               -- when that was learned
    missing_since_ms bigint                                -- since when it waits for Target to have it
);

-- One row per identity and attribute: the parts of all devices as one value, and what Target has of it.
-- Pending: version > greatest(delivered_version, refused_version).
CREATE TABLE attribute (
    profile           uuid     NOT NULL,
    name              text     NOT NULL,
    operation         smallint NOT NULL,                   -- as on a device: 0 set, 1 add, 2 max, 3 min, 4 first, 5 append
    value             text     NOT NULL,
    items             text,                                -- of an append: JSON of [time_ms, device, seq, items behind, item, version]
    time_ms           bigint   NOT NULL,                   -- with device and seq: the event that decided the value
    device            text     NOT NULL,                   -- the number of its store, or its name
    seq               bigint   NOT NULL,
    said_by           text     NOT NULL,                   -- name of the device that brought that event
    event             text     NOT NULL,
    mapping           text     NOT NULL,
    version           bigint   NOT NULL,                   -- the profile's when the value last changed
    changed_ms        bigint   NOT NULL,
    delivered_version bigint   NOT NULL DEFAULT 0,
    delivered_value   text,
    delivered_ms      bigint,
    route             smallint,                            -- by which it was delivered, as on a device
    refused_version   bigint   NOT NULL DEFAULT 0,
    refused_reason    text,
    PRIMARY KEY (profile, name)
);

-- Profiles with something to do for Target, and the node that does it. A row whose claim has ended, or is over its time, is free.
-- Whoever locks several rows does so in the order of their keys, after those of `profile`, or skips what is locked.
CREATE TABLE outbox (
    profile      uuid    PRIMARY KEY,
    pending_ms   bigint,                                   -- since when something is pending
    look_ms      bigint,                                   -- while it waits for Target to have the profile: the next look
    due_ms       bigint,                                   -- when it is to be read back
    is_ambiguous boolean NOT NULL DEFAULT false,           -- because an answer was lost
    fence        bigint  NOT NULL DEFAULT 0,               -- number of the newest claim: no other one settles
    lease_ms     bigint                                    -- end of that claim's time
) WITH (fillfactor = 70);

CREATE INDEX outbox_oldest ON outbox (pending_ms) WHERE pending_ms IS NOT NULL AND look_ms IS NULL;
CREATE INDEX outbox_due ON outbox (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX outbox_look ON outbox (look_ms) WHERE look_ms IS NOT NULL;

-- Numbers of claims, which are never used again: a row of the outbox may go and come back.
CREATE SEQUENCE claim_number;

-- The values that were sent lately, noted before they are.
CREATE TABLE sends (
    profile uuid PRIMARY KEY,
    log     text NOT NULL                                  -- JSON, as on a device
);

-- The values that were read last, with the decision on each.
CREATE TABLE reading (
    profile     uuid     NOT NULL,
    name        text     NOT NULL,
    read_ms     bigint   NOT NULL,
    value       text,
    modified_ms bigint,
    decision    smallint NOT NULL,                         -- as on a device
    PRIMARY KEY (profile, name)
);

-- Updates that Target refused.
CREATE TABLE rejected (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_ms bigint NOT NULL,
    profile     uuid   NOT NULL,
    attributes  text   NOT NULL,                           -- JSON of [name, version]
    reason      text   NOT NULL,
    detail      text   NOT NULL
);

CREATE INDEX rejected_profile ON rejected (profile);

-- Requests to Target by the minute by whose end they were made: those of blocks that nodes have reserved, until they give back
-- what they did not use. The row of minute 0 is locked by whoever reserves.
CREATE TABLE quota (
    kind     smallint NOT NULL,                            -- 0 single updates, 1 reads
    minute   bigint   NOT NULL,                            -- since 1970
    requests bigint   NOT NULL,
    PRIMARY KEY (kind, minute)
);

INSERT INTO quota (kind, minute, requests) VALUES (0, 0, 0), (1, 0, 0);

-- What all nodes share: one row.
CREATE TABLE hub (
    is_one      boolean PRIMARY KEY DEFAULT true CHECK (is_one),
    session_key uuid    NOT NULL DEFAULT gen_random_uuid() -- of the hashes that name sessions of the Delivery API
);

INSERT INTO hub DEFAULT VALUES;

-- Parts of sums: each counts once, whatever came of requests, disks and devices.
CREATE TABLE part (
    profile      uuid   NOT NULL,
    id           uuid   NOT NULL,                          -- 128 random bits
    name         text   NOT NULL,
    device       text   NOT NULL,
    value        text   NOT NULL,
    version      bigint NOT NULL,                          -- the device's number of the newest event in it: a higher one replaces it
    changed_ms   bigint NOT NULL,
    confirmed_ms bigint,                                   -- when the device said that it never sends it again
    PRIMARY KEY (profile, id)
);

CREATE INDEX part_id ON part (id);
CREATE INDEX part_confirmed ON part (confirmed_ms) WHERE confirmed_ms IS NOT NULL;
CREATE INDEX part_unconfirmed ON part (changed_ms) WHERE confirmed_ms IS NULL;

-- What was folded of sums: the total of a device's parts that were confirmed so long ago that nothing repeats them.
CREATE TABLE folded (
    profile uuid NOT NULL,
    name    text NOT NULL,
    device  text NOT NULL,
    value   text NOT NULL,
    PRIMARY KEY (profile, name, device)
);

-- Events whose time was ahead of our clock, and the time that was taken instead: the same one whenever they come again.
CREATE TABLE early (
    device   text   NOT NULL,                              -- as in the stamps of attributes
    time_ms  bigint NOT NULL,
    seq      bigint NOT NULL,
    taken_ms bigint NOT NULL,
    PRIMARY KEY (device, time_ms, seq)
);

-- Codes by which devices join.
CREATE TABLE invitation (
    code_hash    bytea   PRIMARY KEY,                      -- SHA-256
    device_group text,
    uses_left    integer NOT NULL,
    expires_ms   bigint  NOT NULL
);

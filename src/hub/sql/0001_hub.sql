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
    changed_ms bigint   NOT NULL
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
    refused_version   bigint   NOT NULL DEFAULT 0,
    refused_reason    text,
    PRIMARY KEY (profile, name)
);

-- Profiles with something pending, the longest waiting first.
CREATE TABLE outbox (
    profile    uuid   PRIMARY KEY,
    pending_ms bigint NOT NULL
);

CREATE INDEX outbox_oldest ON outbox (pending_ms);

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

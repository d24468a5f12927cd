-- The cache's file, version 1. Times are the store's own, in milliseconds; what has expired counts
-- as missing from that moment on and is swept later.

CREATE TABLE entries (
    key        TEXT    NOT NULL UNIQUE,  -- as stored, with the tenant's hash tag
    expires_ms INTEGER NOT NULL,
    commit_id  INTEGER,                  -- 64 bits, as they are; NULL: the value has none
    value      BLOB    NOT NULL          -- last, so that the others are read without it
) STRICT;

-- Sweeps begin with the entry that expires first, and eviction goes round in this order.
CREATE INDEX entries_by_expiry ON entries (expires_ms);

CREATE TABLE versions (
    key        TEXT    PRIMARY KEY,
    expires_ms INTEGER NOT NULL,
    value      BLOB    NOT NULL          -- Version::encode
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_by_expiry ON versions (expires_ms);

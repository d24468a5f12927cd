-- Who may do what, and what was done.

-- Only the hash of a token is kept. `record` is JSON.
CREATE TABLE token (
    id         INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    record     TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms    INTEGER
) STRICT;

-- `password` is the hash of one, with its salt and parameters.
CREATE TABLE user (
    name        TEXT    PRIMARY KEY,
    record      TEXT    NOT NULL,
    password    TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    password_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    hash       BLOB    PRIMARY KEY,
    user       TEXT    NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_of ON session (user, expires_ms);
CREATE INDEX session_end ON session (expires_ms);

-- `key` is there where the same may be counted instead of being written again.
CREATE TABLE entry (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times   INTEGER NOT NULL,
    key     TEXT,
    record  TEXT    NOT NULL
) STRICT;

CREATE INDEX entry_same ON entry (key, at_ms) WHERE key IS NOT NULL;

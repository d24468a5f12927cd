-- The file's own record, one row. It is no part of the user's migrations and has a format number
-- of its own, so that `user_version` belongs to them alone.
CREATE TABLE IF NOT EXISTS samovar_file (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    format     INTEGER NOT NULL,
    generation INTEGER NOT NULL,                            -- 64 bits, as they are
    clean      INTEGER NOT NULL CHECK (clean IN (0, 1)),    -- 0 for as long as the file is open
    boot       TEXT    NOT NULL,                            -- boot id of the kernel that opened it
    place      TEXT    NOT NULL,                            -- device, inode and birth of the file
    time_ms    INTEGER NOT NULL                             -- no time in this file is later
) STRICT;

-- 1: rowid.
DELETE FROM entries WHERE rowid = ?1

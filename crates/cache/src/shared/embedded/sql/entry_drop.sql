-- 1: key.
DELETE FROM entries WHERE key = ?1

-- 1: now, 2: how many at most.
DELETE FROM entries
WHERE rowid IN (SELECT rowid FROM entries WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)

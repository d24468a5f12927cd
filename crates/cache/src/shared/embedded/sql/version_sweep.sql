-- 1: now, 2: how many at most.
DELETE FROM versions
WHERE key IN (SELECT key FROM versions WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)

-- 1: the one before which they are, or null, 2: rows.
SELECT id, at_ms, last_ms, times, record FROM entry WHERE ?1 IS NULL OR id < ?1
ORDER BY id DESC LIMIT ?2

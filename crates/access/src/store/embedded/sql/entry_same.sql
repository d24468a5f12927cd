-- 1: key, 2: since when, 3: now_ms. Counts what is the same, if there is one.
UPDATE entry SET times = times + 1, last_ms = ?3 WHERE id = (
    SELECT id FROM entry WHERE key = ?1 AND at_ms >= ?2 ORDER BY at_ms DESC LIMIT 1
)

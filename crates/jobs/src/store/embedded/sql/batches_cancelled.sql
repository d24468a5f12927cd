-- Cancelled ones that have not finished. 1: after this id, 2: how many. Result: id.
SELECT id FROM batch WHERE is_cancelled = 1 AND finished_ms IS NULL AND id > ?1
ORDER BY id LIMIT ?2

-- 1: finished before, 2: how many.
DELETE FROM batch WHERE id IN (
    SELECT id FROM batch WHERE finished_ms IS NOT NULL AND finished_ms < ?1
    ORDER BY finished_ms LIMIT ?2)

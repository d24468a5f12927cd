-- 1: queue's name or NULL, 2: kind or NULL. Result: how many failed.
SELECT coalesce(sum(lane.failed), 0) FROM lane JOIN queue ON queue.id = lane.queue
WHERE (?1 IS NULL OR queue.name = ?1) AND (?2 IS NULL OR lane.kind = ?2)

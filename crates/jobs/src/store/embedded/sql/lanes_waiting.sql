-- Lanes in which something waits. 1: queue's name or NULL, 2: kind or NULL. Result: id.
SELECT lane.id FROM lane JOIN queue ON queue.id = lane.queue
WHERE lane.waiting > 0 AND (?1 IS NULL OR queue.name = ?1) AND (?2 IS NULL OR lane.kind = ?2)
ORDER BY lane.id

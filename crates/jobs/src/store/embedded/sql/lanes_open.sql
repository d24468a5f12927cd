-- Lanes of a queue in which something waits for such a worker. 1: queue's name, 2: version,
-- 3: whether it runs what is no suspect, 4: whether it runs suspects. Result: id, kind, version,
-- queue.
SELECT lane.id, lane.kind, lane.version, lane.queue
FROM queue JOIN lane ON lane.queue = queue.id
WHERE queue.name = ?1 AND queue.paused = 0 AND lane.waiting > 0 AND lane.version <= ?2
AND iif(lane.suspect, ?4, ?3)

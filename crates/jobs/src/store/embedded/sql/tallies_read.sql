-- Of a queue. 1: queue's name, 2: span, 3: from. Result: kind, at_ms, data.
SELECT tallied.kind, tally.at_ms, tally.data
FROM tally JOIN tallied ON tallied.id = tally.tallied
WHERE tally.span = ?2 AND tally.at_ms >= ?3
AND tallied.queue = (SELECT id FROM queue WHERE name = ?1)

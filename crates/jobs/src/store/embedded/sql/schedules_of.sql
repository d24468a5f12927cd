-- 1: queue's name. Result: name, mark_ms, fired_ms.
SELECT schedule.name, schedule.mark_ms, schedule.fired_ms
FROM queue JOIN schedule ON schedule.queue = queue.id WHERE queue.name = ?1
ORDER BY schedule.name

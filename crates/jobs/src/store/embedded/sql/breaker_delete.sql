-- 1: queue, 2: remote.
DELETE FROM breaker WHERE queue = ?1 AND remote = ?2

-- 1: queue. Result: how many.
SELECT count(*) FROM breaker WHERE queue = ?1

-- 1: queue. Result: how many.
SELECT count(*) FROM schedule WHERE queue = ?1

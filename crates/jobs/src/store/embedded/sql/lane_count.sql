-- 1: queue. Result: how many.
SELECT count(*) FROM lane WHERE queue = ?1

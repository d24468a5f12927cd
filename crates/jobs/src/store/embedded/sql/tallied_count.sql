-- 1: queue. Result: how many.
SELECT count(*) FROM tallied WHERE queue = ?1

-- 1: seq. Result: how many.
SELECT count(*) FROM once WHERE seq = ?1

-- 1: seq.
DELETE FROM once WHERE seq = ?1

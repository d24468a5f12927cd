-- 1: seq.
DELETE FROM job WHERE seq = ?1

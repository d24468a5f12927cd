-- 1: seq.
DELETE FROM result WHERE seq = ?1

-- 1: seq.
DELETE FROM attempt WHERE seq = ?1

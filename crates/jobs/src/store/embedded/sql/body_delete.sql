-- 1: seq.
DELETE FROM body WHERE seq = ?1

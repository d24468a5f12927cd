-- 1: seq.
DELETE FROM progress WHERE seq = ?1

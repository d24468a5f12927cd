-- 1: seq, 2: policy.
UPDATE body SET policy = ?2 WHERE seq = ?1

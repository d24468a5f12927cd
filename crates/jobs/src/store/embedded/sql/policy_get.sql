-- 1: seq. Result: policy.
SELECT policy FROM body WHERE seq = ?1

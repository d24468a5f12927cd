-- 1: seq. Result: token, worker, ended_ms, step, reason.
SELECT token, worker, ended_ms, step, reason FROM attempt WHERE seq = ?1 ORDER BY token

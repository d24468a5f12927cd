-- 1: seq. Result: token, worker, ended_ms, step, reason, record.
SELECT token, worker, ended_ms, step, reason, record FROM attempt WHERE seq = ?1 ORDER BY token

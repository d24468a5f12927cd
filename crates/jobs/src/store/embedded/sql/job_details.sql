-- 1: seq. Result: payload, policy, result.
SELECT body.payload, body.policy, (SELECT value FROM result WHERE result.seq = body.seq)
FROM body WHERE body.seq = ?1

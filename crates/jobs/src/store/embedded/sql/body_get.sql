-- What a worker gets. 1: seq. Result: tenant, policy, payload, checkpoint.
SELECT body.tenant, body.policy, body.payload, progress.checkpoint
FROM body LEFT JOIN progress ON progress.seq = body.seq WHERE body.seq = ?1

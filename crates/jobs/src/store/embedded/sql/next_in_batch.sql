-- What waits or is scheduled in a batch. 1: batch, 2: how many. Result: rows.
SELECT seq, id, lane, state, since_ms, at_ms, token, attempt, exceptions, lapses, kills, cancelling,
    worker, batch
FROM job WHERE batch = ?1 AND batch IS NOT NULL AND state IN (0, 1) ORDER BY seq LIMIT ?2

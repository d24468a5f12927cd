-- What is due. 1: now, 2: how many. Result: rows.
SELECT seq, id, lane, state, since_ms, at_ms, token, attempt, exceptions, lapses, kills, cancelling,
    worker, batch
FROM job WHERE state = 0 AND at_ms <= ?1 ORDER BY at_ms, seq LIMIT ?2

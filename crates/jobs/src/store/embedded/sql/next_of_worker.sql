-- What a worker holds. 1: worker, 2: how many. Result: rows.
SELECT seq, id, lane, state, since_ms, at_ms, token, attempt, exceptions, lapses, kills, cancelling,
    worker, batch
FROM job WHERE state IN (2, 3) AND worker = ?1 ORDER BY at_ms, seq LIMIT ?2

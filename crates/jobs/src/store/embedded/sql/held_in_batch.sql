-- What workers hold of a batch. 1: batch. Result: rows.
SELECT seq, id, lane, state, since_ms, at_ms, token, attempt, exceptions, lapses, kills, cancelling,
    worker, batch
FROM job INDEXED BY job_held WHERE state IN (2, 3) AND batch = ?1 ORDER BY at_ms, seq

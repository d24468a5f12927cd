-- The next in a lane. 1: lane, 2: since when at the latest, 3: how many. Result: rows.
SELECT seq, id, lane, state, since_ms, at_ms, token, attempt, exceptions, lapses, kills, cancelling,
    worker, batch
FROM job WHERE state = 1 AND lane = ?1 AND since_ms <= ?2 ORDER BY since_ms, seq LIMIT ?3

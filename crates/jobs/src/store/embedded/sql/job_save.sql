-- Writes back what a step may change. 1: seq, 2: lane, 3: state, 4: since_ms, 5: at_ms, 6: token,
-- 7: attempt, 8: exceptions, 9: lapses, 10: kills, 11: cancelling, 12: worker.
UPDATE job SET lane = ?2, state = ?3, since_ms = ?4, at_ms = ?5, token = ?6, attempt = ?7,
    exceptions = ?8, lapses = ?9, kills = ?10, cancelling = ?11, worker = ?12
WHERE seq = ?1

-- The oldest. 1: span, 2: before, 3: how many. Result: at_ms, tallied, data.
SELECT at_ms, tallied, data FROM tally WHERE span = ?1 AND at_ms < ?2
ORDER BY at_ms, tallied LIMIT ?3

-- 1: span, 2: before, 3: how many.
DELETE FROM tally WHERE (span, at_ms, tallied) IN (
    SELECT span, at_ms, tallied FROM tally WHERE span = ?1 AND at_ms < ?2
    ORDER BY at_ms, tallied LIMIT ?3)

-- When the next scheduled job is due. Result: at_ms, or no row.
SELECT at_ms FROM job WHERE state = 0 ORDER BY at_ms, seq LIMIT 1

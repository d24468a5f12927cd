-- 1: span, 2: at_ms, 3: tallied, 4: data.
INSERT INTO tally (span, at_ms, tallied, data) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (span, at_ms, tallied) DO UPDATE SET data = excluded.data

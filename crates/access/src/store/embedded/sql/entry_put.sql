-- 1: at_ms, 2: key, 3: record.
INSERT INTO entry (at_ms, last_ms, times, key, record) VALUES (?1, ?1, 1, ?2, ?3)

-- 1: seq, 2: value.
INSERT INTO result (seq, value) VALUES (?1, ?2)

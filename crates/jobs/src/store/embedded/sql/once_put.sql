-- The first one stays. 1: seq, 2: key, 3: value.
INSERT INTO once (seq, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (seq, key) DO NOTHING

-- Makes a version, also in place of one that has expired. 1: key, 2: expires_ms, 3: value.
INSERT INTO versions (key, expires_ms, value) VALUES (?1, ?2, ?3)
ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms, value = excluded.value

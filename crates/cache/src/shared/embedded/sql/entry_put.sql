-- 1: key, 2: expires_ms, 3: commit_id, 4: value. The key must not be there.
INSERT INTO entries (key, expires_ms, commit_id, value) VALUES (?1, ?2, ?3, ?4)

-- 1: hash, 2: user, 3: expires_ms.
INSERT INTO session (hash, user, expires_ms) VALUES (?1, ?2, ?3)

-- 1: id, 2: hash, 3: record, 4: created_ms, 5: expires_ms.
INSERT INTO token (id, hash, record, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)

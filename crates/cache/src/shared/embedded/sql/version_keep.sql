-- 1: key, 2: expires_ms.
UPDATE versions SET expires_ms = ?2 WHERE key = ?1

-- 1: key. Result: expires_ms, value.
SELECT expires_ms, value FROM versions WHERE key = ?1

-- 1: key. Result: expires_ms, value.
SELECT expires_ms, value FROM entries WHERE key = ?1

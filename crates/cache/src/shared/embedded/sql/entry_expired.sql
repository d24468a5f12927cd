-- The next of what has expired. 1: now, 2 and 3: expires_ms and rowid of the last one seen, 4: how
-- many at most. Result: expires_ms, rowid, key, bytes.
SELECT expires_ms, rowid, key, length(value) FROM entries
WHERE expires_ms <= ?1 AND (expires_ms, rowid) > (?2, ?3)
ORDER BY expires_ms, rowid LIMIT ?4

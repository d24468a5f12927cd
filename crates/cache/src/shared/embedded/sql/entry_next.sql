-- The next entries in the order in which they expire. 1 and 2: expires_ms and rowid of the last one
-- seen, 3: how many at most. Result: expires_ms, rowid, key.
SELECT expires_ms, rowid, key FROM entries
WHERE (expires_ms, rowid) > (?1, ?2)
ORDER BY expires_ms, rowid LIMIT ?3

-- Which commit an entry is of, without reading its value. 1: key. Result: expires_ms, commit_id.
SELECT expires_ms, commit_id FROM entries WHERE key = ?1

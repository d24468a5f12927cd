-- Removes those that expire first: what has expired already, then what is worth least. 1: how
-- many. Result: expires_ms of each.
DELETE FROM entries
WHERE rowid IN (SELECT rowid FROM entries ORDER BY expires_ms LIMIT ?1)
RETURNING expires_ms

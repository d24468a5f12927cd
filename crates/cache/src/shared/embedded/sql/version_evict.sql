-- Removes those that expire first, which are those that nobody has touched for the longest time. 1:
-- how many.
DELETE FROM versions
WHERE key IN (SELECT key FROM versions ORDER BY expires_ms LIMIT ?1)

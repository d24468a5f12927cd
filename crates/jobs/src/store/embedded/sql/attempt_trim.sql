-- Keeps the first and the last ones. 1: seq, 2: how many in all.
DELETE FROM attempt WHERE seq = ?1
AND token > (SELECT min(token) FROM attempt WHERE seq = ?1)
AND token <= (SELECT token FROM attempt WHERE seq = ?1 ORDER BY token DESC LIMIT 1 OFFSET ?2 - 1)

-- Who holds a unique key. 1: queue, 2: key. Result: id.
SELECT id FROM job WHERE queue = ?1 AND unique_key = ?2 AND state IN (0, 1, 2, 3)

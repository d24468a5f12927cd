-- 1: id, 2: token, 3: end of the lease. Result: whether it is to be cancelled; no row: a zombie.
UPDATE job SET at_ms = ?3 WHERE id = ?1 AND token = ?2 AND state IN (2, 3) RETURNING cancelling

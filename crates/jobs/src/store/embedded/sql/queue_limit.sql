-- 1: id, 2: most.
UPDATE queue SET most = ?2 WHERE id = ?1

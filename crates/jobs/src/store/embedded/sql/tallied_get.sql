-- 1: queue, 2: kind. Result: id.
SELECT id FROM tallied WHERE queue = ?1 AND kind = ?2

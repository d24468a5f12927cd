-- 1: queue, 2: kind, 3: version, 4: suspect. Result: id.
SELECT id FROM lane WHERE queue = ?1 AND kind = ?2 AND version = ?3 AND suspect = ?4

-- 1: id, 2: now.
UPDATE tallied SET seen_ms = ?2 WHERE id = ?1

-- 1: name. Result: id, most.
SELECT id, most FROM queue WHERE name = ?1

-- 1: id.
DELETE FROM token WHERE id = ?1

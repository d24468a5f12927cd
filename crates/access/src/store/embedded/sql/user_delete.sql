-- 1: name.
DELETE FROM user WHERE name = ?1

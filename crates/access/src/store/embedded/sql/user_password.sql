-- 1: name.
SELECT password FROM user WHERE name = ?1

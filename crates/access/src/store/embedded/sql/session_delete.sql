-- 1: hash.
DELETE FROM session WHERE hash = ?1

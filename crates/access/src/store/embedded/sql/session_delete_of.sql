-- 1: user.
DELETE FROM session WHERE user = ?1

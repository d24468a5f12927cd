-- 1: how many are left.
DELETE FROM entry WHERE id <= (SELECT max(id) FROM entry) - ?1

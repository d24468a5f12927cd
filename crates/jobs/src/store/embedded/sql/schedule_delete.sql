-- 1: queue's name, 2: name.
DELETE FROM schedule WHERE queue = (SELECT id FROM queue WHERE name = ?1) AND name = ?2

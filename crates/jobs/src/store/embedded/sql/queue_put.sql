-- 1: name, 2: most.
INSERT INTO queue (name, most) VALUES (?1, ?2)

-- 1: queue, 2: kind, 3: version, 4: suspect, 5: tallied.
INSERT INTO lane (queue, kind, version, suspect, tallied) VALUES (?1, ?2, ?3, ?4, ?5)

-- 1: queue, 2: kind, 3: version, 4: suspect.
INSERT INTO lane (queue, kind, version, suspect) VALUES (?1, ?2, ?3, ?4)

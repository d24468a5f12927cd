-- 1: queue, 2: kind, 3: now.
INSERT INTO tallied (queue, kind, seen_ms) VALUES (?1, ?2, ?3)

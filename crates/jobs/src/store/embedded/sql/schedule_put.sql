-- 1: queue, 2: name, 3: mark_ms, 4: fired_ms, or NULL when nothing was pushed.
INSERT INTO schedule (queue, name, mark_ms, fired_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (queue, name) DO UPDATE SET mark_ms = excluded.mark_ms,
    fired_ms = coalesce(excluded.fired_ms, fired_ms)

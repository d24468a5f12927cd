-- 1: queue, 2: kind, 3: count, 4: per_ms, 5: debt, 6: at_ms.
INSERT INTO rate (queue, kind, count, per_ms, debt, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (queue, kind) DO UPDATE SET count = excluded.count, per_ms = excluded.per_ms,
    debt = excluded.debt, at_ms = excluded.at_ms

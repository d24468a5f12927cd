-- 1: queue, 2: kind. Result: count, per_ms, debt, at_ms.
SELECT count, per_ms, debt, at_ms FROM rate WHERE queue = ?1 AND kind = ?2

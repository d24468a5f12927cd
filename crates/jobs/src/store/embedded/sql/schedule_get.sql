-- 1: queue, 2: name. Result: mark_ms.
SELECT mark_ms FROM schedule WHERE queue = ?1 AND name = ?2

-- 1: now_ms.
DELETE FROM session WHERE expires_ms <= ?1

-- 1: hash, 2: used_ms.
UPDATE token SET used_ms = ?2 WHERE hash = ?1

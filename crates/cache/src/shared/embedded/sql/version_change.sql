-- 1: key, 2: value.
UPDATE versions SET value = ?2 WHERE key = ?1

-- 1: name, 2: password, 3: password_ms.
UPDATE user SET password = ?2, password_ms = ?3 WHERE name = ?1

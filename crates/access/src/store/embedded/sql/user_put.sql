-- 1: name, 2: record, 3: password, 4: created_ms. Nothing is changed where there is such a one.
INSERT INTO user (name, record, password, created_ms, password_ms) VALUES (?1, ?2, ?3, ?4, ?4)
ON CONFLICT DO NOTHING

-- 1: id, 2: name, 3: queue, 4: allow_failures, 5: created_ms, 6: callbacks, 7: tenant.
INSERT INTO batch (id, name, queue, allow_failures, created_ms, callbacks, tenant)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)

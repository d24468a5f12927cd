-- 1: seq, 2: tenant, 3: pushed_ms, 4: policy, 5: payload.
INSERT INTO body (seq, tenant, pushed_ms, policy, payload) VALUES (?1, ?2, ?3, ?4, ?5)

-- 1: id, 2: lane, 3: state, 4: since_ms and at_ms, 5: batch, 6: queue, 7: unique key.
INSERT INTO job (id, lane, state, since_ms, at_ms, batch, queue, unique_key)
VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)

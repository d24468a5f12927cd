-- 1: seq, 2: token, 3: worker, 4: ended_ms, 5: step, 6: reason, 7: record.
INSERT INTO attempt (seq, token, worker, ended_ms, step, reason, record)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)

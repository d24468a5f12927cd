-- 1: seq, 2: checkpoint.
INSERT INTO progress (seq, checkpoint) VALUES (?1, ?2)
ON CONFLICT (seq) DO UPDATE SET checkpoint = excluded.checkpoint

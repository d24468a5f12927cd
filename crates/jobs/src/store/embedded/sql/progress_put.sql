-- 1: seq, 2: done, 3: of, 4: note.
INSERT INTO progress (seq, done, "of", note) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (seq) DO UPDATE SET done = excluded.done, "of" = excluded."of", note = excluded.note

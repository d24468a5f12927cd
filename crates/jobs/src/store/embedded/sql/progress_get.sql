-- 1: seq. Result: done, of, note, checkpoint.
SELECT done, "of", note, checkpoint FROM progress WHERE seq = ?1

-- 1: key, 2: commit_id.
DELETE FROM entries WHERE key = ?1 AND commit_id = ?2

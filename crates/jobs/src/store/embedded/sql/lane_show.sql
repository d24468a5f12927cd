-- 1: id. Result: queue, kind, version, suspect.
SELECT queue, kind, version, suspect FROM lane WHERE id = ?1

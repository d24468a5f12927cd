-- 1: id, 2 to 8: by how much the count of each state changes. Result: tallied.
UPDATE lane SET scheduled = scheduled + ?2, waiting = waiting + ?3, claimed = claimed + ?4,
    running = running + ?5, done = done + ?6, failed = failed + ?7, cancelled = cancelled + ?8
WHERE id = ?1 RETURNING tallied

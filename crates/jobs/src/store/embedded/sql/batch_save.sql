-- 1: id, 2: total, 3: pending, 4: failed, 5: cancelled, 6: caught, 7: is_cancelled, 8: finished_ms.
UPDATE batch SET total = ?2, pending = ?3, failed = ?4, cancelled = ?5, caught = ?6,
    is_cancelled = ?7, finished_ms = ?8
WHERE id = ?1

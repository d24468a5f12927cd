-- 1: id. Result: queue, allow_failures, total, pending, failed, cancelled, caught, is_cancelled,
-- finished_ms, callbacks.
SELECT queue, allow_failures, total, pending, failed, cancelled, caught, is_cancelled, finished_ms,
    callbacks
FROM batch WHERE id = ?1

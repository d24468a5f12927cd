-- 1: id. Result: what is shown of a batch.
SELECT batch.name, queue.name, total, pending, failed, cancelled, is_cancelled, created_ms,
    finished_ms, tenant
FROM batch JOIN queue ON queue.id = batch.queue WHERE batch.id = ?1

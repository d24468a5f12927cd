-- Batches that have not finished, the last that was pushed first.
-- 1 and 2: created_ms and id of the last one seen. 3: how many.
-- Result: as `batch_view`, and the id.
SELECT batch.name, queue.name, total, pending, failed, cancelled, is_cancelled, created_ms,
    finished_ms, tenant, batch.id
FROM batch JOIN queue ON queue.id = batch.queue
WHERE finished_ms IS NULL AND (created_ms, batch.id) < (?1, ?2)
ORDER BY created_ms DESC, batch.id DESC LIMIT ?3

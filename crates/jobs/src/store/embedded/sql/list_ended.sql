-- What ended, the last first.
-- 1 and 2: place and seq of the last one seen. 3: how many.
-- Result: seq, its place, and what a filter asks for: queue, kind, tenant, reason, state, batch.
SELECT job.seq, job.at_ms, queue.name, lane.kind, body.tenant,
    (SELECT reason FROM attempt WHERE attempt.seq = job.seq AND step <> 'finish'
        ORDER BY token DESC LIMIT 1),
    job.state, job.batch
FROM job JOIN lane ON lane.id = job.lane JOIN queue ON queue.id = job.queue
JOIN body ON body.seq = job.seq
WHERE job.state IN (4, 5, 6) AND (job.at_ms, job.seq) < (?1, ?2)
ORDER BY job.at_ms DESC, job.seq DESC LIMIT ?3

-- Failed jobs, the last first. 1 and 2: at_ms and seq of the last one seen. 3: how many.
-- Result: seq, at_ms, and what a filter asks for: queue, kind, tenant, reason.
SELECT job.seq, job.at_ms, queue.name, lane.kind, body.tenant,
    (SELECT reason FROM attempt WHERE attempt.seq = job.seq AND step <> 'finish'
        ORDER BY token DESC LIMIT 1)
FROM job JOIN lane ON lane.id = job.lane JOIN queue ON queue.id = job.queue
JOIN body ON body.seq = job.seq
WHERE job.state = 5 AND (job.at_ms, job.seq) < (?1, ?2)
ORDER BY job.at_ms DESC, job.seq DESC LIMIT ?3

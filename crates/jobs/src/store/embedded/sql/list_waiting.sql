-- What waits in a lane, the first first. 1 and 2: since when, and seq, of the last one seen. 3: how many.
-- 4: lane.
-- Result: seq, its place, and what a filter asks for: queue, kind, tenant, reason, state, batch.
SELECT job.seq, job.since_ms, queue.name, lane.kind, body.tenant,
    (SELECT reason FROM attempt WHERE attempt.seq = job.seq AND step <> 'finish'
        ORDER BY token DESC LIMIT 1),
    job.state, job.batch
FROM job JOIN lane ON lane.id = job.lane JOIN queue ON queue.id = job.queue
JOIN body ON body.seq = job.seq
WHERE job.state = 1 AND job.lane = ?4 AND (job.since_ms, job.seq) > (?1, ?2)
ORDER BY job.since_ms, job.seq LIMIT ?3

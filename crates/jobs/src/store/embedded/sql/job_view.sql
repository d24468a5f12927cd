-- 1: seq. Result: what is shown of a job.
SELECT job.id, queue.name, lane.kind, body.tenant, job.state, lane.suspect, job.attempt,
    job.exceptions, job.kills, job.batch, body.pushed_ms, job.at_ms,
    (SELECT reason FROM attempt WHERE attempt.seq = job.seq AND step <> 'finish'
        ORDER BY token DESC LIMIT 1)
FROM job JOIN lane ON lane.id = job.lane JOIN queue ON queue.id = job.queue
JOIN body ON body.seq = job.seq
WHERE job.seq = ?1

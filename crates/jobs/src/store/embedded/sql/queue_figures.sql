-- Result: id, name, paused, most, scheduled, waiting, suspects, claimed, running, done, failed,
-- cancelled, and since when the one that waits longest does.
SELECT queue.id, queue.name, queue.paused, queue.most,
    coalesce(sum(scheduled), 0), coalesce(sum(waiting), 0),
    coalesce(sum(waiting) FILTER (WHERE suspect = 1), 0),
    coalesce(sum(claimed), 0), coalesce(sum(running), 0), coalesce(sum(done), 0),
    coalesce(sum(failed), 0), coalesce(sum(cancelled), 0),
    min((SELECT job.since_ms FROM job WHERE job.state = 1 AND job.lane = lane.id
         ORDER BY job.since_ms, job.seq LIMIT 1))
FROM queue LEFT JOIN lane ON lane.queue = queue.id
GROUP BY queue.id ORDER BY queue.name

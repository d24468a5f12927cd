-- Those of a queue that are not closed. 1: queue's name. Result: rows.
SELECT breaker.queue, breaker.remote, breaker.since_ms, breaker.until_ms, breaker.trips,
    breaker.reason, breaker.probe, breaker.probe_token
FROM queue JOIN breaker ON breaker.queue = queue.id WHERE queue.name = ?1
ORDER BY breaker.remote

-- All that are not closed. Result: rows, and the name of the queue.
SELECT breaker.queue, breaker.remote, breaker.since_ms, breaker.until_ms, breaker.trips,
    breaker.reason, breaker.probe, breaker.probe_token, queue.name
FROM breaker JOIN queue ON queue.id = breaker.queue ORDER BY queue.name, breaker.remote

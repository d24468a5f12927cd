-- 1: queue, 2: remote. Result: a row.
SELECT queue, remote, since_ms, until_ms, trips, reason, probe, probe_token
FROM breaker WHERE queue = ?1 AND remote = ?2

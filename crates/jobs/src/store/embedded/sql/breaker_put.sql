-- 1: queue, 2: remote, 3: since_ms, 4: until_ms, 5: trips, 6: reason, 7: probe, 8: its token.
INSERT INTO breaker (queue, remote, since_ms, until_ms, trips, reason, probe, probe_token)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (queue, remote) DO UPDATE SET until_ms = excluded.until_ms, trips = excluded.trips,
    reason = excluded.reason, probe = excluded.probe, probe_token = excluded.probe_token

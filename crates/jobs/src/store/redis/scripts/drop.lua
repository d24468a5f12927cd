-- Forgets a schedule, or closes a breaker.
--
-- ARGV  1  schedules or breakers
--       2  which
-- Result   {"ok", 1 when there was one}

return {'ok', call('HDEL', base .. ARGV[1], ARGV[2])}

-- What became of a remote.
--
-- ARGV  1  remote
--       2  what is said: see below
--       3  id and token of the probe in one, or ""
--       4  the reason, or ""
-- Result   {"ok", ms for which its jobs are held back} | {"many_breakers", how many there are}

local BROKEN, WORKED, FAILED_AGAIN, UNUSED = '0', '1', '2', '3'

local breaker, said = breaker_of(ARGV[1]), ARGV[2]
if said == BROKEN then
  if not breaker then
    if call('HLEN', base .. 'breakers') >= BREAKERS then
      return {'many_breakers', BREAKERS}
    end
    breaker = {remote = ARGV[1], since = now_ms, trips = 0}
    trip(breaker, ARGV[4])
    keep_breaker(breaker)
  end
elseif breaker and breaker.probe and breaker.probe .. struct.pack('>I6', breaker.token) == ARGV[3] then
  if said == WORKED then
    call('HDEL', base .. 'breakers', ARGV[1])
    breaker = nil
  elseif said == FAILED_AGAIN then
    trip(breaker, ARGV[4])
    keep_breaker(breaker)
  elseif said == UNUSED then
    breaker.probe, breaker.token, breaker.until_ms = nil, 0, now_ms
    keep_breaker(breaker)
  end
end
-- Anything else is about a time before the one that counts.
keep_queue()
return {'ok', breaker and left_of(breaker) or 0}

-- Gives a lease back without a value, and notes the failure if there was one.
--
-- KEYS  1  lease
--       2  back-off
-- ARGV  1  token of the holder, 8 bytes
--       2  the bus
--       3  what is published there if somebody waits for the lease
--       4… only after a failure: the wait after a first failure, ms
--       5  the longest wait, ms
--       6  how much longer than the wait the count of failures is kept, ms
--       7  the error
-- Result   1, or 0: the lease is another's or nobody's, and nothing was done
--
-- Back-off: "failures:until in ms since the epoch:error".

local lease = redis.call('GET', KEYS[1])
if not lease or string.sub(lease, 1, 8) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])

if ARGV[4] then
  local before = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+):') or 0
  local failures = before + 1
  -- The formula of `Failure::wait`. All of it stays below 2^53: exact.
  local wait_ms = math.min(ARGV[4] * 2 ^ math.min(failures - 1, 16), tonumber(ARGV[5]))
  local now = redis.call('TIME')
  local until_ms = now[1] * 1000 + math.floor(now[2] / 1000) + wait_ms
  local record = string.format('%.0f:%.0f:', failures, until_ms) .. ARGV[7]
  redis.call('SET', KEYS[2], record, 'PX', string.format('%.0f', wait_ms + ARGV[6]))
end

if #lease > 16 then
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 1

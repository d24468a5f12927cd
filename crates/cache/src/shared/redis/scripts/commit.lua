-- Lands a value while the lease is still the writer's.
--
-- KEYS  1  lease
--       2  entry
--       3  back-off
--       4… the tenant's versions
-- ARGV  1  token of the writer, 8 bytes; also the commit inside of the value
--       2  the entry's bytes
--       3  how long the entry lives, ms
--       4  first byte of the commit in an entry
--       5  a version that has less left than this, ms ...
--       6  ... lives this long from now, ms
--       7  the bus
--       8  what is published there if somebody waits for the lease
-- Result   {"lost"}: nothing was written
--          | {"stored", the versions in the order of the keys, null where one is missing ...}
--          | the error for which the server would not keep the value; the lease is given back

local function versions(reply)
  local least = tonumber(ARGV[5])
  for at = 4, #KEYS do
    local version = redis.call('GET', KEYS[at])
    if version and redis.call('PTTL', KEYS[at]) < least then
      redis.call('PEXPIRE', KEYS[at], ARGV[6])
    end
    reply[at - 2] = version
  end
  return reply
end

local lease = redis.call('GET', KEYS[1])
if not lease or string.sub(lease, 1, 8) ~= ARGV[1] then
  -- Sent once more because the first answer was lost: the value is there, the lease was given back.
  if redis.call('GETRANGE', KEYS[2], ARGV[4], ARGV[4] + 7) == ARGV[1] then
    return versions({'stored'})
  end
  return {'lost'}
end

local done = redis.pcall('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[1])
if #lease > 16 then
  redis.call('PUBLISH', ARGV[7], ARGV[8])
end
if done.err then
  return done
end
redis.call('DEL', KEYS[3])
return versions({'stored'})

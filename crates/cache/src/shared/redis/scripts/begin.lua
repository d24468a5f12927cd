-- Takes the lease of a reading and captures the tenant's versions of it, in one step.
--
-- KEYS  1  lease
--       2  entry
--       3  back-off
--       4… the tenant's versions
-- ARGV  1  token of the asker, 8 bytes
--       2  node of the asker, 8 bytes
--       3  how long the lease lasts, ms
--       4  commit of the entry that the asker has seen, 8 bytes; empty: none
--       5  first byte of the commit in an entry
--       6  "1": whatever failed before and whatever was committed meanwhile
--       7  a version that has less left than this, ms ...
--       8  ... lives this long from now, ms
--       9… ids for a version that is missing, 16 bytes each, in the order of the keys
-- Result   {"busy", ms left} | {"backoff", its record, seconds, microseconds} | {"changed"}
--          | {"won", seconds, microseconds, the versions in the order of the keys ...}
--
-- Lease: token, node, and "w" once somebody waits for it. Ids and times travel as bytes and as
-- decimal text: Lua's numbers would round them.

local lease = redis.call('GET', KEYS[1])
if lease then
  if #lease == 16 then
    -- Refused while memory is full: who waits then asks again by itself.
    redis.pcall('APPEND', KEYS[1], 'w')
  end
  return {'busy', redis.call('PTTL', KEYS[1])}
end

local now = redis.call('TIME')

if ARGV[6] ~= '1' then
  local failed = redis.call('GET', KEYS[3])
  if failed then
    -- Milliseconds since the epoch are far below 2^53: exact.
    local until_ms = tonumber(string.match(failed, '^%d+:(%d+):'))
    if until_ms and until_ms > now[1] * 1000 + math.floor(now[2] / 1000) then
      return {'backoff', failed, now[1], now[2]}
    end
  end
  local commit = redis.call('GETRANGE', KEYS[2], ARGV[5], ARGV[5] + 7)
  if #commit < 8 then
    commit = ''
  end
  if commit ~= ARGV[4] then
    return {'changed'}
  end
end

redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])

local reply = {'won', now[1], now[2]}
local least = tonumber(ARGV[7])
for at = 4, #KEYS do
  local version = redis.call('GET', KEYS[at])
  if not version then
    version = ARGV[at + 5]
    redis.call('SET', KEYS[at], version, 'PX', ARGV[8])
  elseif redis.call('PTTL', KEYS[at]) < least then
    redis.call('PEXPIRE', KEYS[at], ARGV[8])
  end
  reply[at] = version
end
return reply

-- Reads versions and lengthens their lives; makes those that are missing if it is given ids.
--
-- KEYS  the versions
-- ARGV  1  a version that has less left than this, ms ...
--       2  ... lives this long from now, ms
--       3… ids for a version that is missing, 16 bytes each, in the order of the keys; or nothing:
--          then none is made
-- Result   the versions in the order of the keys, null where one is missing

local least = tonumber(ARGV[1])
local reply = {}
for at = 1, #KEYS do
  local version = redis.call('GET', KEYS[at])
  if version then
    if redis.call('PTTL', KEYS[at]) < least then
      redis.call('PEXPIRE', KEYS[at], ARGV[2])
    end
  elseif ARGV[at + 2] then
    version = ARGV[at + 2]
    redis.call('SET', KEYS[at], version, 'PX', ARGV[2])
  end
  reply[at] = version
end
return reply

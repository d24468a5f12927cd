-- Removes one entry, its lease and its back-off: whoever computes it will not land.
--
-- KEYS  1  entry
--       2  lease
--       3  back-off
-- ARGV  1  the bus
--       2  what is published there
--       3  what is published as well if somebody waits for the lease
-- Result   how many of the keys existed

local waited = redis.call('STRLEN', KEYS[2]) > 16
local found = redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])
if waited then
  redis.call('PUBLISH', ARGV[1], ARGV[3])
end
return found

-- Replaces ids of versions that exist, and tells everybody about all that were named: listeners
-- may know what the store has lost.
--
-- KEYS  the versions, all of one scope
-- ARGV  1  over how long the recomputation is spread, ms
--       2  the cause, for people
--       3  the bus
--       4  how many messages follow
--       5… the messages, then for each key
--          its new change id, 8 bytes
--          its new clear id, 8 bytes; empty: it stays
-- Result   how many of the versions existed
--
-- Version: change id, clear id, then the change id that was replaced and "at:spread:cause".

local now = redis.call('TIME')
local at_ms = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local what = at_ms .. ':' .. ARGV[1] .. ':' .. ARGV[2]
local messages = tonumber(ARGV[4])

local found = 0
for at = 1, #KEYS do
  local change = ARGV[3 + messages + at * 2]
  local clear = ARGV[4 + messages + at * 2]
  local version = redis.call('GET', KEYS[at])
  if version then
    found = found + 1
    local replaced = string.sub(version, 1, 8)
    if clear == '' then
      clear = string.sub(version, 9, 16)
    end
    local done = redis.pcall('SET', KEYS[at], change .. clear .. replaced .. what, 'KEEPTTL')
    if done.err then
      -- Memory is full and nothing may be evicted. What is missing is stale as well.
      redis.call('DEL', KEYS[at])
    end
  end
end

for message = 5, 4 + messages do
  redis.call('PUBLISH', ARGV[3], ARGV[message])
end
return found

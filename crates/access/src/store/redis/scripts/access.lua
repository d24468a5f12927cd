-- What every script begins with: the keys of access, their format and the time.
--
-- KEYS[1] is the hash `state` and leads to its slot. All other keys are made here from the same
-- beginning, so they share that slot. None of them has a TTL, but those of sessions.
--   state           v, entry: the number of the last entry
--   tokens          hash: hash of the token → "<created_ms> <expires_ms or -> <JSON>"
--   ids             hash: id → hash of the token
--   used            hash: hash of the token → when it was used last, ms
--   users           hash: name → "<created_ms> <JSON>"
--   passwords       hash: name → "<when it was set, ms> <its hash>"
--   session:<hash>  the name of its user; ends by itself
--   of:<name>       zset by their ends: hashes of the sessions of a user; ends with the last of them
--   entries         zset by number: "<number> <at_ms> <last_ms> <times> <JSON>"
--   same            hash: what makes entries the same → "<number> <at_ms>" of the last one

local FORMAT = 1

local call = redis.call
local base = string.sub(KEYS[1], 1, -6)

local format = call('HGET', KEYS[1], 'v')
if format and tonumber(format) > FORMAT then
  return {'newer', format}
end

local time = call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- Redis writes large numbers out as if they had a fraction.
local function text_of(number)
  return string.format('%.0f', number)
end

local function keep_format()
  if not format then
    call('HSET', KEYS[1], 'v', FORMAT)
  end
end

local function end_sessions(name)
  for _, hash in ipairs(call('ZRANGE', base .. 'of:' .. name, 0, -1)) do
    call('DEL', base .. 'session:' .. hash)
  end
  call('DEL', base .. 'of:' .. name)
end

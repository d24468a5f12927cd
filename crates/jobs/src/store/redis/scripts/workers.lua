-- What workers say of themselves, and what they are told.
--
-- KEYS  1  hash of workers: name -> "<when it was seen, ms> <order or -> <its start> <what it said>"
-- ARGV  1  ms after which a silent one is forgotten
--       2  'list' | 'present' | 'order' | 'leave'
--       3  name
--       4  present: what it says; order: the order
--       5  present: how many there may be
--       6  present: its start
-- Result   list: {"ok", name, ms of silence, order, what it said, ...}
--          present: {"ok", order} | {"full"}
--          order, leave: {"ok", whether it was known}

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local verb, name = ARGV[2], ARGV[3]

local function read(row)
  local seen_ms, order, start, said = string.match(row, '^(%d+) (%S+) (%S+) (.*)$')
  seen_ms = tonumber(seen_ms)
  return seen_ms, order, start, said, now_ms - seen_ms < tonumber(ARGV[1])
end

local function write(seen_ms, order, start, said)
  redis.call('HSET', KEYS[1], name, string.format('%.0f %s %s ', seen_ms, order, start) .. said)
end

-- All but those that are forgotten, which are removed.
local function list()
  local all, left = redis.call('HGETALL', KEYS[1]), {'ok'}
  for at = 1, #all, 2 do
    local seen_ms, order, _, said, known = read(all[at + 1])
    if known then
      for _, part in ipairs({all[at], math.max(0, now_ms - seen_ms), order, said}) do
        left[#left + 1] = part
      end
    else
      redis.call('HDEL', KEYS[1], all[at])
    end
  end
  return left
end

if verb == 'list' then
  return list()
end
local row = redis.call('HGET', KEYS[1], name)
local seen_ms, order, start, said, known
if row then
  seen_ms, order, start, said, known = read(row)
end
if verb == 'present' then
  if start ~= ARGV[6] then
    order = '-'
  end
  if not known then
    order = '-'
    if (#list() - 1) / 4 >= tonumber(ARGV[5]) then
      return {'full'}
    end
  end
  write(now_ms, order, ARGV[6], ARGV[4])
  return {'ok', order}
end
if verb == 'leave' then
  redis.call('HDEL', KEYS[1], name)
elseif known then
  write(seen_ms, ARGV[4], start, said)
end
return {'ok', known and 1 or 0}

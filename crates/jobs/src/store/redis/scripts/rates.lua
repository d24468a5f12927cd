-- What was taken of the rate of a kind: whole numbers, as the embedded store reckons. It goes down by
-- `count` a millisecond, and a job that is claimed adds `per`.

-- Count, per in ms, what was taken, when.
local RATE = '>I4I4I6I6'

local function rate_of(kind, count, per)
  local rate = {kind = kind, count = count, per = per, debt = 0}
  local kept = call('HGET', base .. 'rates', kind)
  if kept then
    local kept_count, kept_per, debt, at = struct.unpack(RATE, kept)
    local left = math.max(0, debt - (now_ms - at) * kept_count)
    -- Where it was another rate then, jobs taken stay taken. Jobs and the rest of one apart: every
    -- product is a number that is kept exactly.
    local jobs, rest = math.floor(left / kept_per), left % kept_per
    rate.debt = math.min(jobs * per + math.floor(rest * per / kept_per), count * per)
  end
  return rate
end

-- How many may go now.
local function free_of(rate)
  return math.floor((rate.count * rate.per - rate.debt) / rate.per)
end

-- When the next may go, where none may now.
local function next_of_rate(rate)
  return now_ms + math.ceil((rate.debt + rate.per - rate.count * rate.per) / rate.count)
end

local function keep_rate(rate)
  call('HSET', base .. 'rates', rate.kind,
    struct.pack(RATE, rate.count, rate.per, rate.debt, now_ms))
end

-- Those that hold back nothing any more.
local function sweep_rates()
  local kept = call('HGETALL', base .. 'rates')
  for at = 1, #kept, 2 do
    local count, _, debt, taken_at = struct.unpack(RATE, kept[at + 1])
    if debt <= (now_ms - taken_at) * count then
      call('HDEL', base .. 'rates', kept[at])
    end
  end
end

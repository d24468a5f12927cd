-- Breakers of the queue. One that is closed is not kept.

-- Since when, until when, trips, 1 when a probe was given out, its id and token; then the reason.
local BREAKER = '>I6I6I4Bc8I6'
local NO_PROBE = string.rep('\0', 8)
local BREAKERS = 256
local OPEN_MS = 5000
local OPEN_LONGEST_MS = 300000
local PROBE_MS = 60000

local function read_breaker(remote, packed)
  local since, until_ms, trips, is_probed, id, token, at = struct.unpack(BREAKER, packed)
  return {
    remote = remote, since = since, until_ms = until_ms, trips = trips,
    probe = is_probed == 1 and id or nil, token = token, reason = string.sub(packed, at),
  }
end

local function breaker_of(remote)
  local packed = call('HGET', base .. 'breakers', remote)
  return packed and read_breaker(remote, packed)
end

-- By remote.
local function all_breakers()
  local kept, found = call('HGETALL', base .. 'breakers'), {}
  for at = 1, #kept, 2 do
    found[#found + 1] = read_breaker(kept[at], kept[at + 1])
  end
  table.sort(found, function(one, other)
    return one.remote < other.remote
  end)
  return found
end

local function keep_breaker(breaker)
  local packed = struct.pack(BREAKER, breaker.since, breaker.until_ms, breaker.trips,
    breaker.probe and 1 or 0, breaker.probe or NO_PROBE, breaker.token)
  call('HSET', base .. 'breakers', breaker.remote, packed .. breaker.reason)
end

-- Open for twice as long each time in a row.
local function trip(breaker, reason)
  breaker.trips = breaker.trips + 1
  local open_ms = OPEN_MS * 2 ^ math.min(breaker.trips - 1, 16)
  breaker.until_ms = now_ms + math.min(open_ms, OPEN_LONGEST_MS)
  breaker.probe, breaker.token, breaker.reason = nil, 0, reason
end

local function left_of(breaker)
  return math.max(0, breaker.until_ms - now_ms)
end

-- What rates and breakers leave of the queue for one claim.
--
-- A rule is packed as: jobs and ms of its rate, zeros where it has none, and the remotes without
-- which its jobs are left alone, each behind its length.

-- By kind, packed.
local rules = {}
-- Those that jobs of the claim may have to wait for.
local breakers = {}
-- When the first of what is held back may go.
local next_at

local function may_go_at(at)
  next_at = math.min(next_at or at, at)
end

local function needs_of(rule)
  local needs, at, remote = {}, 9, nil
  while at <= #rule do
    remote, at = struct.unpack('Bc0', rule, at)
    needs[remote] = true
  end
  return needs
end

-- What of a kind may go: `most` jobs or as many as there are, and one of all those that need a
-- remote that is to be tried. False: none.
local function find_room(kind)
  local rule, room = rules[kind], {probes = {}}
  if not rule then
    return room
  end
  local needs = needs_of(rule)
  for _, breaker in ipairs(breakers) do
    if needs[breaker.remote] then
      if breaker.until_ms > now_ms then
        may_go_at(breaker.until_ms)
        return false
      end
      append(room, 'probes', breaker)
    end
  end
  local count, per = struct.unpack('>I4I4', rule)
  if count > 0 then
    room.rate = rate_of(kind, count, per)
    room.most = free_of(room.rate)
    if room.most == 0 then
      may_go_at(next_of_rate(room.rate))
      return false
    end
  end
  return room
end

local rooms = {}

local function room_of(kind)
  if rooms[kind] == nil then
    rooms[kind] = find_room(kind)
  end
  return rooms[kind]
end

-- Leaves the first ones of what was found: lanes of a kind share its rate, and kinds that need the
-- same remote its probe.
local function keep_to_rules(found)
  local kept, taken, probed = {}, {}, {}
  for _, one in ipairs(found) do
    local room = one.room
    local goes = not room.most or (taken[room] or 0) < room.most
    for _, breaker in ipairs(room.probes) do
      goes = goes and not probed[breaker]
    end
    if goes then
      kept[#kept + 1] = one
      taken[room] = (taken[room] or 0) + 1
      for _, breaker in ipairs(room.probes) do
        probed[breaker] = true
      end
    end
  end
  return kept
end

-- A job is given out. The remotes that it tries.
local function take(room, row)
  if room.rate then
    room.rate.debt = room.rate.debt + room.rate.per
    room.is_taken = true
  end
  local probes = {}
  for at, breaker in ipairs(room.probes) do
    breaker.until_ms = now_ms + PROBE_MS
    breaker.probe, breaker.token = row.id, row.token
    keep_breaker(breaker)
    probes[at] = breaker.remote
  end
  return probes
end

local function keep_rates()
  for _, room in pairs(rooms) do
    if room and room.is_taken then
      keep_rate(room.rate)
      if free_of(room.rate) == 0 then
        may_go_at(next_of_rate(room.rate))
      end
    end
  end
end

-- Remote and ms that are left, for each that holds back jobs.
local function open_breakers()
  local open = {}
  for _, breaker in ipairs(breakers) do
    if breaker.until_ms > now_ms then
      open[#open + 1] = breaker.remote
      open[#open + 1] = left_of(breaker)
    end
  end
  return open
end

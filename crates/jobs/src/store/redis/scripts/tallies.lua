-- What became of jobs, by kind and minute: counted with the steps, written at the end of a script.
--
-- d(one), f(ailed), c(ancelled), r(etried), k(illed), and three histograms by bucket: w(aited) in ms,
-- t(ime) it ran in ms, p(eak) bytes.

local MINUTE_MS, HOUR_MS = 60000, 3600000
-- Kinds that are counted by themselves. The others: together, under what no kind is called.
local TALLIED_KINDS = 200
local OTHERS = '*'

-- By lane. In the order in which they are met, so that it is not chance who is among the others.
local tallies, tallied_lanes = {}, {}

local function tally(lane, field)
  lane = lane - lane % 2
  local counts = tallies[lane]
  if not counts then
    counts = {}
    tallies[lane] = counts
    tallied_lanes[#tallied_lanes + 1] = lane
  end
  counts[field] = (counts[field] or 0) + 1
end

-- The one of `tally/histogram.rs`, which a test compares with this one.
local function bucket(value)
  if value < 8 then
    return value
  end
  local _, power = math.frexp(value)
  return (power - 3) * 8 + math.floor(value / 2 ^ (power - 4)) % 8
end

local function tally_waited(lane, since)
  tally(lane, 'w' .. bucket(math.max(0, now_ms - since)))
end

local ENDS = {[DONE] = 'd', [FAILED] = 'f', [CANCELLED] = 'c'}

local function tally_step(row, from)
  if ENDS[row.state] then
    tally(row.lane, ENDS[row.state])
  elseif from == RUNNING and row.state == SCHEDULED then
    tally(row.lane, 'r')
  end
end

-- Under what a kind is counted.
local function tallied(kind)
  if call('HEXISTS', base .. 'tallied', kind) == 0 then
    if call('HLEN', base .. 'tallied') >= TALLIED_KINDS then
      return OTHERS
    end
    call('HSET', base .. 'tallied', kind, now_ms)
  end
  return kind
end

-- To those of a kind in a minute (`list` is tm) or an hour (th).
local function add_counts(list, at, kind, counts)
  local entry, is_new = at .. ':' .. kind, false
  for field, by in pairs(counts) do
    is_new = call('HINCRBY', base .. list .. ':' .. entry, field, by) == by or is_new
  end
  if is_new then
    call('ZADD', base .. list, at, entry)
  end
end

local function keep_tallies()
  for _, lane in ipairs(tallied_lanes) do
    local kind = tallied(string.sub(lane_name(lane), 5))
    add_counts('tm', math.floor(now_ms / MINUTE_MS), kind, tallies[lane])
  end
end

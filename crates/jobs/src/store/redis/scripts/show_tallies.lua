-- What became of jobs over time, an hour after the other.
--
-- All of a kind in an hour is in one answer: minutes that become an hour meanwhile are met once.
--
-- ARGV  1  how far back, ms
--       2  step, ms
--       3  how many minutes and hours of a kind at most, if it is not one kind that has more
--       4  first minute, 5  hour and 6  kind where to go on: what the last answer said, or ""
-- Result   {"ok", where to go on: first minute, hour or "" at the end, kind,
--          {kind, since when, {field, count ...}} ...}

local step = tonumber(ARGV[2])
local from_ms = now_ms - tonumber(ARGV[1])
local first = tonumber(ARGV[4]) or (from_ms - from_ms % step) / MINUTE_MS
local hour, seen = tonumber(ARGV[5]) or math.floor(first / 60), ARGV[6]

local function append_list(entries, list, span_ms, from, to)
  for _, entry in ipairs(call('ZRANGEBYSCORE', base .. list, from, to)) do
    local at, kind = string.match(entry, '^(%d+):(.*)$')
    if kind > seen then
      entries[#entries + 1] = {kind, at * span_ms, base .. list .. ':' .. entry}
    end
  end
end

local function entries_of(hour)
  local entries = {}
  if hour * 60 >= first then
    append_list(entries, 'th', HOUR_MS, hour, hour)
  end
  append_list(entries, 'tm', MINUTE_MS, math.max(first, hour * 60), hour * 60 + 59)
  table.sort(entries, function(one, other)
    return one[1] < other[1]
  end)
  return entries
end

local shown = {'ok', first, '', ''}
while hour * HOUR_MS <= now_ms do
  for _, entry in ipairs(entries_of(hour)) do
    if #shown - 4 >= tonumber(ARGV[3]) and entry[1] ~= seen then
      shown[3], shown[4] = hour, seen
      return shown
    end
    seen = entry[1]
    shown[#shown + 1] = {entry[1], entry[2], call('HGETALL', entry[3])}
  end
  hour, seen = hour + 1, ''
end
return shown

-- Promotes what is due, cancels what waits in batches that were stopped, folds and forgets tallies.
--
-- ARGV  1  how many of each at most
--       2  how many tallies
-- Result   {"ok", promoted, cancelled, 1 when there may be more, ms until the next is due or -1,
--          1 when something waits in the outbox}

local MINUTES_KEPT_MS = 26 * HOUR_MS
local HOURS_KEPT_MS = 31 * 24 * HOUR_MS

-- Adds up what these minutes counted, by hour and kind.
local function sums_of(minutes)
  local sums = {}
  for _, entry in ipairs(minutes) do
    local minute, kind = string.match(entry, '^(%d+):(.*)$')
    local hour = math.floor(minute / 60)
    local sum = sums[hour .. ':' .. kind] or {hour = hour, kind = kind, counts = {}}
    sums[hour .. ':' .. kind] = sum
    local counts = call('HGETALL', base .. 'tm:' .. entry)
    for at = 1, #counts, 2 do
      sum.counts[counts[at]] = (sum.counts[counts[at]] or 0) + counts[at + 1]
    end
  end
  return sums
end

local function drop_tallies(list, entries)
  for _, entry in ipairs(entries) do
    call('UNLINK', base .. list .. ':' .. entry)
  end
  in_parts('ZREM', base .. list, entries)
end

-- Old minutes become hours.
local function fold_minutes(most)
  -- The hour of the oldest minutes must be over, so that it is folded as a whole.
  local before = math.floor((now_ms - MINUTES_KEPT_MS) / HOUR_MS) * 60
  local old = call('ZRANGEBYSCORE', base .. 'tm', '-inf', '(' .. before, 'LIMIT', 0, most)
  for _, sum in pairs(sums_of(old)) do
    add_counts('th', sum.hour, sum.kind, sum.counts)
    if sum.kind ~= OTHERS then
      call('HSET', base .. 'tallied', sum.kind, now_ms)
    end
  end
  drop_tallies('tm', old)
  return #old == most
end

local function forget_hours(most)
  local before = math.ceil((now_ms - HOURS_KEPT_MS) / HOUR_MS)
  local old = call('ZRANGEBYSCORE', base .. 'th', '-inf', '(' .. before, 'LIMIT', 0, most)
  drop_tallies('th', old)
  return #old == most
end

-- Whether there may be more.
local function tend_tallies(most)
  local more_minutes = fold_minutes(most)
  return forget_hours(most) or more_minutes
end

local most = tonumber(ARGV[1])
local due, cancelled = due_now(most), 0
promote(due)
for _, id in ipairs(call('ZRANGE', base .. 'bs', 0, most - 1)) do
  if cancelled == most then
    break
  end
  for _, m in ipairs(call('ZRANGE', base .. 'bw:' .. id, 0, most - cancelled - 1)) do
    local row = get(string.sub(m, 7))
    if not row or not cancel(row) then
      call('ZREM', base .. 'bw:' .. id, m)
    end
    cancelled = cancelled + 1
  end
end
commit()
local more_tallies = tend_tallies(tonumber(ARGV[2]))
local first = call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
local more = #due == most or cancelled == most or more_tallies
return {
  'ok', #due, cancelled, more and 1 or 0,
  first[2] and math.max(0, tonumber(first[2]) - now_ms) or -1, call('EXISTS', base .. 'out'),
}

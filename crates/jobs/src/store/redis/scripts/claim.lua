-- Hands jobs to a worker: the first ones of all lanes together.
--
-- ARGV  1  worker
--       2  how many at most
--       3  lease, ms
--       4  newest version the worker knows
--       5  1: what is no suspect is given out
--       6  1: suspects are
--       7  how many due jobs wait from now on
--       8  bytes of jobs after which no more are given
--       9  1: a rule names a remote
--       10 how many kinds are not given out; then these, then kind and rule (`rules.lua`), for each
-- Result   {"ok", ms until the first of what a rule holds back may go or "", {remote and ms that are
--          left, for each breaker that holds back jobs ...}, {id, head, the job as it is stored,
--          checkpoint or "", version and kind, class if it is isolated or "", {remotes it tries}} ...}

local most, version = tonumber(ARGV[2]), tonumber(ARGV[4])
local lease_end, ALL, NOTHING = now_ms + tonumber(ARGV[3]), {probes = {}}, {}
local except, rules_at = {}, 11 + tonumber(ARGV[10])
for at = 11, rules_at - 1 do
  except[ARGV[at]] = true
end
leased(tonumber(ARGV[3]))
local due, has_rules, some = due_now(tonumber(ARGV[7])), #ARGV >= rules_at, nil
if #due > 0 or has_rules then
  some = others()
  some.begin(due, rules_at)
end

local function open_breakers()
  return some and some.open_breakers() or NOTHING
end

if queue[9] == '1' or most == 0 then
  commit_with(some)
  return {'ok', '', open_breakers()}
end

local function room_of(kind)
  if has_rules then
    return some.room_of(kind)
  end
  return ALL
end

-- Of each lane only what is not behind those found so far is looked at. What is held back behind a
-- claim that is full is not told: whoever has the slots for it claims again.
local function next_of()
  local open = call('ZRANGE', base .. 'open', 0, -1, 'WITHSCORES')
  local found, many = {}, false
  for at = 1, #open, 2 do
    local since = tonumber(open[at + 1])
    if #found == most and since > found[most].since then
      break
    end
    local lane, lane_version, name_at = struct.unpack('>I4I4', open[at])
    local kind = string.sub(open[at], name_at)
    local is_for = lane_version <= version and ARGV[5 + lane % 2] == '1' and not except[kind]
    local room = is_for and room_of(kind)
    if room then
      local until_since = #found == most and found[most].since or '+inf'
      local waiting = call('ZRANGEBYSCORE', base .. 'wait:' .. lane, '-inf', until_since,
        'WITHSCORES', 'LIMIT', 0, math.min(most, room.most or most))
      many = #found > 0
      for index = 1, #waiting, 2 do
        found[#found + 1] = {
          since = tonumber(waiting[index + 1]), m = waiting[index], lane = lane,
          name = string.sub(open[at], 5), room = room,
        }
      end
      if many then
        for _, one in ipairs(found) do
          one.seq = one.seq or struct.unpack('>I6', one.m)
        end
        table.sort(found, function(one, other)
          return one.since < other.since or one.since == other.since and one.seq < other.seq
        end)
      end
      if has_rules then
        found = some.keep_to_rules(found)
      end
      for index = #found, most + 1, -1 do
        found[index] = nil
      end
    end
  end
  return found
end

local function hand_over(one, id, stored)
  if stored and not one.room.rate and #one.room.probes == 0 then
    local head = claim_plainly(id, one.m, stored, ARGV[1], lease_end)
    if head then
      tally_waited(one.lane, one.since)
      return {id, head, stored, '', one.name, '', NOTHING}
    end
  end
  some = some or others()
  return some.hand_over(one, id, stored, lease_end)
end

local found, claimed, bytes = next_of(), {'ok', '', ''}, 0
for first = 1, #found, 100 do
  local keys_of = {}
  for at = first, math.min(first + 99, #found) do
    keys_of[#keys_of + 1] = base .. 'j:' .. string.sub(found[at].m, 7)
  end
  local stored = call('MGET', unpack(keys_of))
  for index, job in ipairs(stored) do
    local one = found[first + index - 1]
    claimed[#claimed + 1] = hand_over(one, string.sub(one.m, 7), job)
    bytes = bytes + (job and #job or 0)
  end
  if bytes > tonumber(ARGV[8]) then
    break
  end
end
commit_with(some)
claimed[2], claimed[3] = some and some.next_after() or '', open_breakers()
return claimed

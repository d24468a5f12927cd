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
--       9… kinds that are not
-- Result   {"ok", {id, head, the job as it is stored, checkpoint or "", version and kind, class if it
--          is isolated or ""} ...}

local most, version = tonumber(ARGV[2]), tonumber(ARGV[4])
local except = {}
for at = 9, #ARGV do
  except[ARGV[at]] = true
end
leased(tonumber(ARGV[3]))
if promote(tonumber(ARGV[7])) > 0 then
  flush()
end
if queue[9] == '1' or most == 0 then
  commit()
  return {'ok'}
end

-- Of each lane only what is not behind those found so far is looked at.
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
    if lane_version <= version and ARGV[5 + lane % 2] == '1' and not except[kind] then
      local until_since = #found == most and found[most].since or '+inf'
      local waiting = call('ZRANGEBYSCORE', base .. 'wait:' .. lane, '-inf', until_since,
        'WITHSCORES', 'LIMIT', 0, most)
      many = #found > 0
      for index = 1, #waiting, 2 do
        found[#found + 1] = {
          since = tonumber(waiting[index + 1]), m = waiting[index], lane = lane,
          name = string.sub(open[at], 5),
        }
      end
      if many then
        for _, one in ipairs(found) do
          one.seq = one.seq or struct.unpack('>I6', one.m)
        end
        table.sort(found, function(one, other)
          return one.since < other.since or one.since == other.since and one.seq < other.seq
        end)
        for index = #found, most + 1, -1 do
          found[index] = nil
        end
      end
    end
  end
  return found
end

-- What nobody can read fails, and holds up no other.
local function unreadable(one, id)
  local row = {
    id = id, state = WAITING, lapses = 0, kills = 0, max_kills = 1, attempt = 0, exceptions = 0,
    token = 0, seq = struct.unpack('>I6', one.m), since = one.since, at = one.since,
    pushed = one.since, lane = one.lane, m = one.m, was = WAITING, was_lane = one.lane,
  }
  rows[id] = row
  row.token = 1
  go(row, 'claim')
  row.worker = ARGV[1]
  fail(row)
  record(row, ARGV[1], 'fail', 'what is stored of it cannot be read')
end

local function hand_over(one, id, stored)
  local row = rows[id] or stored and read_head(id, stored)
  if not row or row.state ~= WAITING then
    return unreadable(one, id)
  end
  rows[id] = row
  if is_cancelling(row) then
    cancel(row)
    return
  end
  go(row, 'claim')
  row.token = row.token + 1
  row.attempt = row.attempt + 1
  row.at = now_ms + tonumber(ARGV[3])
  row.worker = ARGV[1]
  local checkpoint = row.checkpoint and call('HGET', base .. 'x:' .. id, 'c') or ''
  local class = row.isolated and call('HGET', base .. 'x:' .. id, 'i') or ''
  return {id, head_of(row), stored, checkpoint, one.name, class}
end

local found, claimed, bytes = next_of(), {'ok'}, 0
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
commit()
return claimed

-- What every script begins with: the keys of a queue, its format and its time.
--
-- KEYS[1] is the hash of the queue and leads to its slot. All other keys are made here from the same
-- beginning, so they share that slot; they cannot be named beforehand, as they follow from what is
-- found. None of them has a TTL.
--   queue         v, last_ms, ahead_ms, lease_ms, until_ms, seq, load, most, paused, lanes, lane
--   j:<id>        a job: its head (`rows.lua`), then its body as the client packed it
--   held          hash: id → head and worker of a job that a worker has; the head in `j` is old then
--   due           zset by time: what is scheduled
--   wait:<lane>   zset by since when: what waits, a kind, a version and suspects apart
--   open          zset by since when its first one waits: lanes in which something waits
--   leases        zset by the end of the lease: what is held
--   by:<worker>   set: what a worker holds
--   ended, failed zsets by when it ended
--   lanes         hash: n<version><kind> → lane, d<lane> → <version><kind>
--   counts        hash: 8 * lane + state → how many
--   unique        hash: unique key → id of the job that has not ended
--   x:<id>        hash: p(rogress), c(heckpoint), r(esult), i: class of a job that was isolated
--   a:<id>        list: attempts that ended otherwise than well, or of which there is more to say
--   once:<id>     hash: key → value
--   b:<batch>     hash of a batch; bw:<batch> zset: what waits or is scheduled of it
--   bo, bs, bf    zsets: batches that have not finished by when they were pushed; of these those that
--                 were stopped; batches that have finished, by when they did
--   out           hash: member → a job for another queue
--   schedules     hash: name → mark and last instant fired
--   rates         hash: kind → what was taken of its rate (`rates.lua`)
--   breakers      hash: remote → its breaker, unless it is closed (`breakers.lua`)
--   tm, th        zsets by number of the minute, of the hour: <number>:<kind>, of what is counted
--   tm:<number>:<kind>, th:...   hashes: counts (`tallies.lua`)
--   tallied       hash: kind that is counted by itself → when it was first counted or last folded
-- A member of a zset of jobs is its seq (6 bytes) and its id (8 bytes): equal scores are in the
-- order of arrival.

local FORMAT = 1
-- A queue nobody looked at for longer than this: its Redis was away, or its clock was moved.
local AWAY_MS = 10000

local call = redis.call
local base = string.sub(KEYS[1], 1, -6)

local queue = call('HMGET', KEYS[1], 'v', 'last_ms', 'ahead_ms', 'lease_ms', 'until_ms', 'seq',
  'load', 'most', 'paused')
if queue[1] and tonumber(queue[1]) > FORMAT then
  return {'newer', queue[1]}
end
local lease_ms = tonumber(queue[4]) or 0
-- Before this nothing that lapsed is taken back.
local until_ms = tonumber(queue[5]) or 0
local seq = tonumber(queue[6]) or 0
local load = tonumber(queue[7]) or 0

-- The time of the queue does not run backwards, whatever the clock of its Redis does.
local time = call('TIME')
local wall_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead_ms = tonumber(queue[3]) or 0
local now_ms = wall_ms + ahead_ms
if queue[2] then
  local last_ms = tonumber(queue[2])
  if now_ms < last_ms then
    ahead_ms = last_ms - wall_ms
    now_ms = last_ms
  elseif now_ms - last_ms > AWAY_MS then
    until_ms = now_ms + lease_ms
  end
end

local function leased(ms)
  lease_ms = math.max(lease_ms, ms)
end

-- Redis writes numbers out as if they had a fraction, which takes long.
local texts = {}
local function text_of(number)
  local text = texts[number]
  if not text then
    text = string.format('%.0f', number)
    texts[number] = text
  end
  return text
end

local KEPT = {'v', 'last_ms', 'ahead_ms', 'lease_ms', 'until_ms', 'seq', 'load'}

local function keep_queue()
  local changed = {}
  for at, number in ipairs({FORMAT, now_ms, ahead_ms, lease_ms, until_ms, seq, load}) do
    local text = text_of(number)
    if text ~= queue[at] then
      changed[#changed + 1] = KEPT[at]
      changed[#changed + 1] = text
    end
  end
  if #changed > 0 then
    call('HSET', KEYS[1], unpack(changed))
  end
end

-- A command for each part of a list, which may be longer than Lua's stack.
local function in_parts(command, key, list)
  for at = 1, #list, 2000 do
    call(command, key, unpack(list, at, math.min(at + 1999, #list)))
  end
end

local function append(lists, key, value)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  list[#list + 1] = value
end

-- Writes that wait until nothing can be refused any more.
local later = {}
local function do_later(...)
  later[#later + 1] = {...}
end

-- What scripts move jobs with: states, heads, lanes, and the one way in which everything is written.
-- Nothing is written before `write`.

local SCHEDULED, WAITING, CLAIMED, RUNNING, DONE, FAILED, CANCELLED = 0, 1, 2, 3, 4, 5, 6

-- State, flags, lapses, kills, most kills, attempt, exceptions, token, seq, since, at, pushed, lane,
-- batch. A lane is even for the innocent, and the odd one behind it for suspects.
local HEAD = '>BBBBBI4I4I6I6I6I6I6I4c8'
local HEAD_BYTES = 55
local IS_CANCELLING, IS_KEYED, HAS_BATCH, HAS_CHECKPOINT, GOES_WHEN_MISSING = 1, 2, 4, 8, 16
local IS_ISOLATED = 32
local NO_BATCH = string.rep('\0', 8)
-- Ended attempts that are kept.
local HISTORY = 32

-- Jobs that were loaded into a row (`rows.lua`), by id.
local rows = {}
-- Heads with their workers as they were fetched, or as they are left for `write`; false when none.
local heads = {}

local function is_held(state)
  return state == CLAIMED or state == RUNNING
end

local function member(row_seq, id)
  return struct.pack('>I6', row_seq) .. id
end

local function fetch_held(ids)
  for at = 1, #ids, 2000 do
    local found = call('HMGET', base .. 'held', unpack(ids, at, math.min(at + 1999, #ids)))
    for index, held in ipairs(found) do
      heads[ids[at + index - 1]] = held
    end
  end
end

-- The first ones that are due, at most so many.
local function due_now(most)
  return call('ZRANGEBYSCORE', base .. 'due', '-inf', now_ms, 'LIMIT', 0, most)
end

-- Lanes ------------------------------------------------------------------------------------------

local lanes_by_name = {}
local lanes_by_number = {}

local function lane_name(lane)
  lane = lane - lane % 2
  if not lanes_by_number[lane] then
    lanes_by_number[lane] = call('HGET', base .. 'lanes', 'd' .. lane) or '\0\0\0\0?'
  end
  return lanes_by_number[lane]
end

-- Makes it when it is new; nothing when the queue has so many already.
local function lane_of(version, kind, most)
  local name = struct.pack('>I4', version) .. kind
  if lanes_by_name[name] then
    return lanes_by_name[name]
  end
  local lane = tonumber(call('HGET', base .. 'lanes', 'n' .. name))
  if not lane then
    if most and call('HLEN', base .. 'lanes') >= 2 * most then
      return nil
    end
    lane = call('HINCRBY', KEYS[1], 'lane', 2)
    do_later('HSET', base .. 'lanes', 'n' .. name, lane, 'd' .. lane, name)
  end
  lanes_by_name[name] = lane
  lanes_by_number[lane] = name
  return lane
end

-- Brings the list of lanes in which something waits up to date.
local function open_lane(lane)
  local first = call('ZRANGE', base .. 'wait:' .. lane, 0, 0, 'WITHSCORES')
  local entry = struct.pack('>I4', lane) .. lane_name(lane)
  if first[2] then
    call('ZADD', base .. 'open', first[2], entry)
  else
    call('ZREM', base .. 'open', entry)
  end
end

-- Writing ----------------------------------------------------------------------------------------

local PLACES = {
  [SCHEDULED] = 'due', [CLAIMED] = 'leases', [RUNNING] = 'leases', [DONE] = 'ended',
  [FAILED] = 'ended', [CANCELLED] = 'ended',
}

local waits = {}
-- The lanes of which something came or went.
local moved_lanes = {}

local function place(state, lane)
  if state ~= WAITING then
    return PLACES[state]
  end
  if not waits[lane] then
    waits[lane] = 'wait:' .. lane
  end
  moved_lanes[lane] = true
  return waits[lane]
end

-- What the next `write` writes: jobs and heads with their keys; what is held
-- and what is not any more; members to add to places and to remove from them; the same by worker;
-- counts.
local function nothing_ready()
  return {
    new = {}, heads = {}, held = {}, gone = {}, adds = {}, rems = {}, by = {}, not_by = {},
    counts = {},
  }
end

local ready = nothing_ready()

local function count(counts, lane, state, by)
  local at = 8 * lane + state
  counts[at] = (counts[at] or 0) + by
  if state <= WAITING then
    load = load + by
  end
end

-- Writes all that is ready.
local function write()
  local lists, by, not_by = ready, ready.by, ready.not_by
  local adds, rems, counts = ready.adds, ready.rems, ready.counts
  ready = nothing_ready()
  for at = 1, #lists.new, 2000 do
    call('MSET', unpack(lists.new, at, math.min(at + 1999, #lists.new)))
  end
  for at = 1, #lists.heads, 2 do
    call('SETRANGE', lists.heads[at], 0, lists.heads[at + 1])
  end
  in_parts('HSET', base .. 'held', lists.held)
  in_parts('HDEL', base .. 'held', lists.gone)
  for worker, members in pairs(not_by) do
    in_parts('SREM', base .. 'by:' .. worker, members)
  end
  for worker, members in pairs(by) do
    in_parts('SADD', base .. 'by:' .. worker, members)
  end
  for _, command in ipairs(later) do
    if command[1] == 'TRIM' then
      -- The first one stays, and the last ones.
      if call('LLEN', command[2]) > HISTORY then
        call('LSET', command[2], 1, '')
        call('LREM', command[2], 1, '')
      end
    else
      call(unpack(command))
    end
  end
  later = {}
  for where, list in pairs(rems) do
    in_parts('ZREM', base .. where, list)
  end
  for where, list in pairs(adds) do
    in_parts('ZADD', base .. where, list)
  end
  for lane in pairs(moved_lanes) do
    open_lane(lane)
  end
  moved_lanes = {}
  for at, change in pairs(counts) do
    if change ~= 0 then
      call('HINCRBY', base .. 'counts', at, change)
    end
  end
end

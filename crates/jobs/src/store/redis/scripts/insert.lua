-- New jobs. An argument `job` is packed as: id, delay in ms, version, flags, most kills, batch, kind;
-- an argument `body` as: unique key, tenant, policy, each behind its length, and the payload.

-- Kinds on one queue.
local LANES = 4096
local JOB = '>c8I6I4BBc8Bc0'
-- Why the whole call is refused.
local refusal

local function payload(body)
  local _, _, _, at = struct.unpack('>Hc0Bc0Hc0', body)
  return string.sub(body, at)
end

-- Something is in the way. What an ended job leaves behind must not fail for what cannot be told
-- from a repeat.
local function there_already(row, kind, body, limited)
  local is_same = string.sub(lane_name(row.lane), 5) == kind
    and payload(body_of(row)) == payload(body)
  if limited and not is_same then
    refusal = {'id_taken', row.id}
  end
  return row.id
end

-- Nothing when it is new, else the id of what is there. With `limited` the limits count; `fresh`
-- says that no job of this id is stored. See whether `refusal` is set before anything else.
local function insert(job, body, limited, fresh)
  local id, delay, version, flags, max_kills, batch_id, kind = struct.unpack(JOB, job)
  local batch = bit.band(flags, HAS_BATCH) > 0 and batch_id or nil
  local open = batch and batch_of(batch)
  if batch and not open then
    refusal = {'no_batch', batch}
    return
  elseif batch and open.finished_ms then
    refusal = {'batch_finished', batch}
    return
  end
  local lane = lane_of(version, kind, limited and LANES)
  if not lane then
    refusal = {'many_kinds', LANES}
    return
  end
  local there = rows[id]
  if there == nil and not fresh then
    there = get(id)
  end
  if there and not there.deleted then
    return there_already(there, kind, body, limited)
  end
  local keyed = bit.band(flags, IS_KEYED) > 0
  if keyed then
    local key = struct.unpack('>Hc0', body)
    local holder = key_holder(key)
    if holder then
      return holder
    end
    set_key(key, id)
  end
  seq = seq + 1
  local at = now_ms + delay
  local row = {
    id = id, state = delay > 0 and SCHEDULED or WAITING, lapses = 0, kills = 0,
    max_kills = max_kills, attempt = 0, exceptions = 0, token = 0, seq = seq, since = at, at = at,
    pushed = now_ms, lane = lane, m = member(seq, id), keyed = keyed, batch = batch,
    goes_when_missing = bit.band(flags, GOES_WHEN_MISSING) > 0, body = body, dirty = true,
  }
  rows[id] = row
  dirty[#dirty + 1] = row
  if open then
    open.total = open.total + 1
    open.pending = open.pending + 1
    open.changed = true
  end
end

-- The same for a job that is new for certain and has no unique key, without a row of its own: a push
-- of many must not hold Redis up for long.
local patterns = {}
local now_bytes = struct.pack('>I6', now_ms)

local function pattern_of(version, flags, max_kills, batch_id, kind)
  local lane = lane_of(version, kind)
  local batch = bit.band(flags, HAS_BATCH) > 0 and batch_id or nil
  local head = struct.pack(HEAD, WAITING, flags, 0, 0, max_kills, 0, 0, 0, 0, 0, 0, 0, lane,
    batch_id)
  return {
    lane = lane, batch = batch and batches[batch], waits_of = batch and 'bw:' .. batch,
    lead = string.sub(head, 2, 19), tail = string.sub(head, 44),
  }
end

local function insert_quickly(job, body)
  local sort = string.sub(job, 15)
  local pattern = patterns[sort]
  if not pattern then
    pattern = pattern_of(struct.unpack('>I4BBc8Bc0', sort))
    patterns[sort] = pattern
  end
  seq = seq + 1
  local id, delay, state, at, at_bytes = string.sub(job, 1, 8), 0, WAITING, now_ms, now_bytes
  if string.sub(job, 9, 14) ~= '\0\0\0\0\0\0' then
    state, at = SCHEDULED, now_ms + struct.unpack('>I6', job, 9)
    at_bytes = struct.pack('>I6', at)
  end
  local seq_bytes = struct.pack('>I6', seq)
  local new = ready.new
  new[#new + 1] = base .. 'j:' .. id
  new[#new + 1] = string.char(state) .. pattern.lead .. seq_bytes .. at_bytes .. at_bytes
    .. now_bytes .. pattern.tail .. body
  local where = place(state, pattern.lane)
  append(ready.adds, where, at)
  append(ready.adds, where, seq_bytes .. id)
  count(ready.counts, pattern.lane, state, 1)
  local batch = pattern.batch
  if batch then
    append(ready.adds, pattern.waits_of, 0)
    append(ready.adds, pattern.waits_of, seq_bytes .. id)
    batch.total, batch.pending, batch.changed = batch.total + 1, batch.pending + 1, true
  end
end

-- Whether it needs no more than that: its batch is open, and its lane can be made.
local function is_plain(job, limited)
  local version, flags, _, batch, kind = struct.unpack('>I4BBc8Bc0', job, 15)
  if bit.band(flags, IS_KEYED) > 0 then
    return false
  end
  local open = bit.band(flags, HAS_BATCH) > 0 and batch_of(batch)
  if bit.band(flags, HAS_BATCH) > 0 and (not open or open.finished_ms) then
    return false
  end
  return lane_of(version, kind, limited and LANES)
end

local function push_callback(packed)
  if packed then
    local job, at = struct.unpack('>Hc0', packed)
    insert(job, string.sub(packed, at), false)
  end
end

-- Creates the jobs that the batches call for, and writes the batches.
local function end_batches()
  local changed = {}
  for id, batch in pairs(batches) do
    if batch and batch.changed then
      changed[#changed + 1] = id
    end
  end
  table.sort(changed, function(one, other)
    local high, low = struct.unpack('>I4I4', one)
    local other_high, other_low = struct.unpack('>I4I4', other)
    return high < other_high or high == other_high and low < other_low
  end)
  for _, id in ipairs(changed) do
    local batch = batches[id]
    local finishes = batch.pending == 0 and not batch.finished_ms
    if batch.catch_now or finishes then
      local calls = call('HMGET', base .. 'b:' .. id, 'catch', 'then', 'finally')
      local well = (batch.failed + batch.cancelled == 0 or batch.allow) and not batch.stopped
      push_callback(batch.catch_now and calls[1])
      push_callback(finishes and well and calls[2])
      push_callback(finishes and calls[3])
    end
    if finishes then
      batch.finished_ms = now_ms
    end
    save_batch(id, batch)
  end
end

-- The end of every script that writes.
local function commit()
  end_batches()
  flush()
  keep_queue()
end

-- Jobs and bodies from the argument `first` on. Gives the ids of what is there already, false for
-- what is new; nothing when the push is refused.
local function push_all(first, limited)
  local stored, ids, fresh = {}, {}, true
  for at = first, #ARGV, 2 do
    local id = string.sub(ARGV[at], 1, 8)
    stored[#stored + 1] = base .. 'j:' .. id
    fresh = fresh and not ids[id]
    ids[id] = true
  end
  for at = 1, #stored, 4000 do
    fresh = fresh and call('EXISTS', unpack(stored, at, math.min(at + 3999, #stored))) == 0
  end
  local found, added, answers = load, 0, {}
  for at = first, #ARGV, 2 do
    local sort, there = string.sub(ARGV[at], 15), nil
    if fresh and (patterns[sort] or is_plain(ARGV[at], limited)) then
      insert_quickly(ARGV[at], ARGV[at + 1])
    else
      there = insert(ARGV[at], ARGV[at + 1], limited, fresh)
    end
    if refusal then
      return nil
    end
    added = added + (there and 0 or 1)
    answers[#answers + 1] = there or ''
  end
  local most = tonumber(queue[8]) or 10000000
  if limited and added > 0 and found + added > most then
    refusal = {'full', found, most}
    return nil
  end
  return answers
end

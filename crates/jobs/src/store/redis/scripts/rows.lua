-- Jobs as they are loaded, moved by the one table of steps, and written back with all that hangs on
-- where they are.

-- The table of `state.rs`, which a test compares with this one.
local STEPS = {
  promote = {[SCHEDULED] = WAITING},
  claim = {[WAITING] = CLAIMED},
  start = {[CLAIMED] = RUNNING},
  finish = {[RUNNING] = DONE},
  retry = {[RUNNING] = SCHEDULED},
  fail = {[CLAIMED] = FAILED, [RUNNING] = FAILED},
  release = {[CLAIMED] = WAITING, [RUNNING] = WAITING},
  lapse = {[CLAIMED] = WAITING, [RUNNING] = WAITING},
  climb = {[RUNNING] = WAITING},
  kill = {[RUNNING] = WAITING},
  cancel = {[SCHEDULED] = CANCELLED, [WAITING] = CANCELLED, [CLAIMED] = CANCELLED, [RUNNING] = CANCELLED},
  revive = {[FAILED] = WAITING, [CANCELLED] = WAITING},
}

-- Times in a row that the worker may be lost.
local LAPSES = 16

local dirty = {}
-- Unique keys as this script leaves them: id, or false.
local keys = {}
local keys_changed = {}

local function ended(state)
  return state >= DONE
end

local function head_of(row)
  local flags = (row.cancelling and IS_CANCELLING or 0) + (row.keyed and IS_KEYED or 0)
    + (row.batch and HAS_BATCH or 0) + (row.checkpoint and HAS_CHECKPOINT or 0)
    + (row.goes_when_missing and GOES_WHEN_MISSING or 0) + (row.isolated and IS_ISOLATED or 0)
  return struct.pack(HEAD, row.state, flags, row.lapses, row.kills, row.max_kills, row.attempt,
    row.exceptions, row.token, row.seq, row.since, row.at, row.pushed, row.lane,
    row.batch or NO_BATCH)
end

-- Nothing when it is none.
local function read_head(id, head)
  if #head < HEAD_BYTES then
    return nil
  end
  local state, flags, lapses, kills, max_kills, attempt, exceptions, token, row_seq, since, at,
    pushed, lane, batch = struct.unpack(HEAD, head)
  if state > CANCELLED then
    return nil
  end
  local row = {
    id = id, state = state, lapses = lapses, kills = kills, max_kills = max_kills,
    attempt = attempt, exceptions = exceptions, token = token, seq = row_seq, since = since,
    at = at, pushed = pushed, lane = lane, m = member(row_seq, id), was = state, was_lane = lane,
  }
  if flags > 0 then
    row.cancelling = bit.band(flags, IS_CANCELLING) > 0
    row.keyed = bit.band(flags, IS_KEYED) > 0
    row.batch = bit.band(flags, HAS_BATCH) > 0 and batch or nil
    row.checkpoint = bit.band(flags, HAS_CHECKPOINT) > 0
    row.goes_when_missing = bit.band(flags, GOES_WHEN_MISSING) > 0
    row.isolated = bit.band(flags, IS_ISOLATED) > 0
  end
  return row
end

local function read_held(id, held)
  local row = held and read_head(id, held)
  if row then
    row.worker = string.sub(held, HEAD_BYTES + 1)
    row.was_worker = row.worker
    rows[id] = row
  end
  return row
end

local function get(id)
  local row = rows[id]
  if row == nil then
    row = read_held(id, call('HGET', base .. 'held', id))
      or read_head(id, call('GETRANGE', base .. 'j:' .. id, 0, HEAD_BYTES - 1)) or false
    rows[id] = row
  end
  return row and not row.deleted and row or nil
end

-- For what cannot be held, because of where it was found.
local function get_unheld(id)
  if rows[id] == nil then
    rows[id] = read_head(id, call('GETRANGE', base .. 'j:' .. id, 0, HEAD_BYTES - 1)) or false
  end
  return rows[id] or nil
end

-- Of what was fetched; nothing when nobody has it.
local function held_row(id)
  return rows[id] or read_held(id, heads[id])
end

-- The job of a hold, unless it is somebody else's by now or nobody's. Fetch it before.
local function held_by(id, token)
  local row = held_row(id)
  if row and not row.deleted and is_held(row.state) and row.token == token then
    return row
  end
end

local function touch(row)
  if not row.dirty then
    row.dirty = true
    dirty[#dirty + 1] = row
  end
end

local function body_of(row)
  return row.body or call('GETRANGE', base .. 'j:' .. row.id, HEAD_BYTES, -1)
end

local function key_of(row)
  local body = row.body
    or call('GETRANGE', base .. 'j:' .. row.id, HEAD_BYTES, HEAD_BYTES + 2 + 256)
  return (struct.unpack('>Hc0', body))
end

local function key_holder(key)
  if keys[key] == nil then
    keys[key] = call('HGET', base .. 'unique', key)
  end
  return keys[key]
end

local function set_key(key, id)
  keys[key] = id
  keys_changed[key] = true
end

-- Keeps how the attempt of the last claim ended, and what else is said of it.
local function record(row, worker, step, reason, said)
  local key = base .. 'a:' .. row.id
  said = said or ''
  local attempt = struct.pack('>I6I6Bc0Bc0I4c0', row.token, now_ms, #step, step, #worker, worker,
    #said, said)
  do_later('RPUSH', key, attempt .. reason)
  if row.token > HISTORY then
    row.trim = key
  end
end

local function delete(row)
  touch(row)
  row.deleted = true
end

-- Where it is looked for: by state, batch, worker.
local function index(row, adds, rems)
  local was, was_place = row.was, row.was and place(row.was, row.was_lane)
  local state = not row.deleted and row.state
  local is_place = state and place(state, row.lane)
  if was_place and was_place ~= is_place then
    append(rems, was_place, row.m)
  end
  if is_place and (is_place ~= 'leases' or was_place ~= 'leases') then
    append(adds, is_place, text_of(state == WAITING and row.since or row.at))
    append(adds, is_place, row.m)
  end
  if was == FAILED and state ~= FAILED then
    append(rems, 'failed', row.m)
  elseif state == FAILED then
    append(adds, 'failed', row.at)
    append(adds, 'failed', row.m)
  end
  if row.batch then
    local waited, waits = was and was <= WAITING, state and state <= WAITING
    if waited and not waits then
      append(rems, 'bw:' .. row.batch, row.m)
    elseif waits and not waited then
      append(adds, 'bw:' .. row.batch, 0)
      append(adds, 'bw:' .. row.batch, row.m)
    end
  end
end

-- Makes ready what the rows say, and writes it.
local function flush()
  local lists, adds, rems, counts = ready, ready.adds, ready.rems, ready.counts
  local by, not_by = ready.by, ready.not_by
  for _, row in ipairs(dirty) do
    row.lane = row.lane - row.lane % 2 + (row.lapses > 0 and 1 or 0)
    local key = base .. 'j:' .. row.id
    local holds = not row.deleted and is_held(row.state)
    index(row, adds, rems)
    if row.was then
      count(counts, row.was_lane, row.was, -1)
      if is_held(row.was) and not holds then
        append(lists, 'gone', row.id)
        append(not_by, row.was_worker, row.m)
      end
    end
    if row.keyed and (row.deleted or ended(row.state)) and row.was and not ended(row.was) then
      local unique = key_of(row)
      if key_holder(unique) == row.id then
        set_key(unique, false)
      end
    end
    if row.deleted then
      call('UNLINK', key, base .. 'x:' .. row.id, base .. 'a:' .. row.id, base .. 'once:' .. row.id)
    else
      count(counts, row.lane, row.state, 1)
      if holds then
        append(lists, 'held', row.id)
        append(lists, 'held', head_of(row) .. row.worker)
        if not is_held(row.was) then
          append(by, row.worker, row.m)
        end
      elseif row.body then
        append(lists, 'new', key)
        append(lists, 'new', head_of(row) .. row.body)
      else
        append(lists, 'heads', key)
        append(lists, 'heads', head_of(row))
      end
      if row.trim then
        do_later('TRIM', row.trim)
      end
    end
    row.was, row.was_lane, row.was_worker = row.state, row.lane, row.worker
    row.dirty, row.body, row.trim = false, nil, nil
    if row.deleted then
      row.was = nil
    end
  end
  dirty = {}
  for key in pairs(keys_changed) do
    if keys[key] then
      call('HSET', base .. 'unique', key, keys[key])
    else
      call('HDEL', base .. 'unique', key)
    end
  end
  keys_changed = {}
  write()
end

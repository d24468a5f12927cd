-- Batches move with their jobs' last steps; written by `end_batches`, each once per script, so that
-- what is repeated changes nothing.

local batches = {}

local function batch_of(id)
  local batch = batches[id]
  if batch == nil then
    local found = call('HMGET', base .. 'b:' .. id, 'total', 'pending', 'failed', 'cancelled',
      'caught', 'stopped', 'finished_ms', 'allow')
    batch = found[1] and {
      total = tonumber(found[1]), pending = tonumber(found[2]), failed = tonumber(found[3]),
      cancelled = tonumber(found[4]), caught = found[5] == '1', stopped = found[6] == '1',
      finished_ms = tonumber(found[7]), allow = found[8] == '1',
    } or false
    batches[id] = batch
  end
  return batch or nil
end

-- One that has finished, or is gone, counts nothing any more.
local function batch_moved(id, from, to)
  local batch = batch_of(id)
  if not batch or batch.finished_ms then
    return
  end
  batch.changed = true
  local by = ended(to) and 1 or -1
  local state = by == 1 and to or from
  batch.pending = batch.pending - by
  if state == FAILED then
    batch.failed = batch.failed + by
    if by == 1 then
      batch.catch_now = batch.catch_now or not batch.caught
      batch.caught = true
      batch.stopped = batch.stopped or not batch.allow
    end
  elseif state == CANCELLED then
    batch.cancelled = batch.cancelled + by
  end
end

-- Whether a job that a worker has is to stop: by itself, or because its batch was stopped meanwhile.
-- What waits in a stopped batch is not given out any more, so nothing else has to be told.
local function is_cancelling(row)
  if row.cancelling then
    return true
  end
  local batch = row.batch and batch_of(row.batch)
  return batch and batch.stopped or false
end

local function save_batch(id, batch)
  local key = base .. 'b:' .. id
  call('HSET', key, 'total', batch.total, 'pending', batch.pending, 'failed', batch.failed,
    'cancelled', batch.cancelled, 'caught', batch.caught and 1 or 0, 'stopped',
    batch.stopped and 1 or 0)
  if batch.finished_ms then
    call('HSET', key, 'finished_ms', batch.finished_ms)
    call('ZADD', base .. 'bf', batch.finished_ms, id)
    call('ZREM', base .. 'bs', id)
    call('ZREM', base .. 'bo', id)
  elseif batch.stopped then
    call('ZADD', base .. 'bs', 0, id)
  end
  batch.changed, batch.catch_now = false, false
end

-- Steps ------------------------------------------------------------------------------------------
-- The same as `row.rs` does in the embedded store; false, and nothing done, when it may not happen.

local function go(row, step)
  local from, to = row.state, STEPS[step][row.state]
  if not to then
    return false
  end
  touch(row)
  row.state = to
  tally_step(row, from)
  if not is_held(to) then
    row.worker = nil
  end
  if row.batch and ended(from) ~= ended(to) then
    batch_moved(row.batch, from, to)
  end
  return true
end

-- It ran to an end of its own, so the deaths before were not its fault.
local function innocent(row, at)
  row.attempt = row.attempt - row.lapses
  row.lapses = 0
  row.at = at
  return true
end

local function finish(row)
  return go(row, 'finish') and innocent(row, now_ms)
end

local function fail(row)
  return go(row, 'fail') and innocent(row, now_ms)
end

local function cancel(row)
  if not go(row, 'cancel') then
    return false
  end
  row.at = now_ms
  return true
end

local function retry(row, due, exception)
  if not go(row, 'retry') then
    return false
  end
  innocent(row, due)
  row.since = due
  row.exceptions = row.exceptions + exception
  return true
end

local function waits_unspent(row)
  row.attempt = row.attempt - 1
  row.at = row.since
  return true
end

local function release(row)
  return go(row, 'release') and waits_unspent(row)
end

-- What it needs is found out, and no try is lost by that.
local function climb(row)
  return go(row, 'climb') and waits_unspent(row)
end

-- What killed or was lost too often fails as what it is.
local function lose(row, step, too_often)
  if too_often then
    row.at = now_ms
    return go(row, 'fail')
  end
  row.at = row.since
  return go(row, step)
end

local function lapse(row)
  if row.state == CLAIMED then
    return go(row, 'lapse') and waits_unspent(row)
  end
  row.lapses = row.lapses + 1
  return lose(row, 'lapse', row.lapses >= LAPSES)
end

local function kill(row)
  row.kills = row.kills + 1
  row.lapses = row.lapses + 1
  return lose(row, 'kill', row.kills >= row.max_kills)
end

-- Due jobs wait.
local function promote(due)
  for _, m in ipairs(due) do
    local row = get_unheld(string.sub(m, 7))
    if not row or not go(row, 'promote') then
      -- What is no job any more holds up no other.
      call('ZREM', base .. 'due', m)
    end
  end
end

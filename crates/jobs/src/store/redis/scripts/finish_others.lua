-- Attempts of jobs that are not plain, and outcomes that leave something behind, end with their rows.

local GONE, ZOMBIE = -1, -2

local function recorded(moved, row, worker, step, reason, said)
  if moved then
    record(row, worker, step, reason, said)
  end
  return moved
end

local function done(row, has_result, text, first, here, elsewhere)
  if row.state ~= RUNNING then
    return false
  end
  for at = first, first + 2 * here - 1, 2 do
    insert(ARGV[at], ARGV[at + 1], false)
    if refusal then
      return false
    end
  end
  for at = first + 2 * here, first + 2 * (here + elsewhere) - 1, 2 do
    seq = seq + 1
    do_later('HSET', base .. 'out', member(seq, ARGV[at]), ARGV[at + 1])
  end
  if has_result > 0 then
    do_later('HSET', base .. 'x:' .. row.id, 'r', text)
  end
  return finish(row)
end

local function cancelled(row, worker)
  return recorded(cancel(row), row, worker, 'cancel', 'cancelled while it ran')
end

local function end_one(row, outcome, delay, flag, text, said, first, here, elsewhere, class)
  local worker, stops = row.worker, is_cancelling(row)
  if outcome == DONE_WELL then
    local moved = done(row, flag, text, first, here, elsewhere)
    recorded(moved and said ~= '', row, worker, 'finish', '', said)
    return moved
  elseif outcome == MISSING and row.goes_when_missing then
    local moved = finish(row)
    if moved then
      delete(row)
    end
    return moved
  elseif outcome == MISSING then
    return recorded(fail(row), row, worker, 'fail', 'what it was about is gone')
  elseif outcome == CANCEL or stops and (outcome == RETRY or outcome == RELEASE or outcome == ISOLATE) then
    -- There is no further attempt for what is to be cancelled.
    return cancelled(row, worker)
  elseif outcome == RETRY then
    return recorded(retry(row, now_ms + delay, flag), row, worker, 'retry', text, said)
  elseif outcome == FAIL then
    return recorded(fail(row), row, worker, 'fail', text, said)
  elseif outcome == RELEASE then
    return recorded(release(row), row, worker, 'release', 'given back', said)
  elseif outcome == ISOLATE then
    local moved = climb(row)
    if moved then
      row.isolated = true
      do_later('HSET', base .. 'x:' .. row.id, 'i', class)
    end
    return recorded(moved, row, worker, 'climb', text, said)
  end
  -- Its batch may be stopped: it keeps that it was to be cancelled.
  row.cancelling = stops
  local moved = row.state == RUNNING and kill(row)
  if moved then
    tally(row.lane, 'k')
  end
  return recorded(moved, row, worker, 'kill', text, said)
end

-- What is answered, or what the whole call is refused for.
local function finish_row(id, token, outcome, ran, peak, ...)
  local row = held_by(id, (struct.unpack('>I6', token)))
  if not row then
    return ZOMBIE
  end
  tally_measured(row.lane, outcome, ran, peak)
  local moved = end_one(row, outcome, ...)
  return not moved and ZOMBIE or row.deleted and GONE or row.state, refusal
end

return {finish = finish_row, commit = commit}

-- Ends attempts, each by itself, with everything that happens because of it.
--
-- ARGV  for each: how (see below), and
--         the result, the reason, or ""
--         what else is said of the attempt, or ""
--         job and body, for each that follows on this queue
--         id and packed job, for each that follows on another one
--       `how` is packed as: kind of outcome, id, token, delay in ms, whether it was an exception or
--       there is a result, how many follow here, how many elsewhere, the class of an isolated one
-- Result   {"ok", for each: the state it is in, -1: nothing is left of it, -2: a zombie ...}
--          | a refusal: nothing was changed

local HOW = '>Bc8I6I6BHHBc0'
local DONE_WELL, MISSING, RETRY, FAIL, RELEASE, KILL, CANCEL, ISOLATE = 0, 1, 2, 3, 4, 5, 6, 7

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
    do_later('HSET', base .. 'out', ARGV[at], ARGV[at + 1])
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
  return recorded(row.state == RUNNING and kill(row), row, worker, 'kill', text, said)
end

local asked, ids, at = {}, {}, 1
while at <= #ARGV do
  local outcome, id, token, delay, flag, here, elsewhere, class = struct.unpack(HOW, ARGV[at])
  ids[#ids + 1] = id
  asked[#asked + 1] = {
    id, token, outcome, delay, flag, ARGV[at + 1], ARGV[at + 2], at + 3, here, elsewhere, class,
  }
  at = at + 3 + 2 * (here + elsewhere)
end
fetch_held(ids)
local answers = {'ok'}
for index, ask in ipairs(asked) do
  local row = held_by(ask[1], ask[2])
  local moved = row and end_one(row, unpack(ask, 3))
  if refusal then
    return refusal
  end
  answers[index + 1] = not moved and -2 or row.deleted and -1 or row.state
end
commit()
return answers

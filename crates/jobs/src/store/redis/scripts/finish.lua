-- Ends attempts, each by itself, with everything that happens because of it.
--
-- ARGV  1  id and token of each, in one
--       for each: how (see below), and
--         the result, the reason, or ""
--         what else is said of the attempt, or ""
--         job and body, for each that follows on this queue
--         id and packed job, for each that follows on another one
--       `how` is packed as: kind of outcome, delay in ms, whether it was an exception or there is a
--       result, buckets of how long it ran and of its peak of memory, how many follow here, how many
--       elsewhere, the class of an isolated one
-- Result   {"ok", for each: the state it is in, -1: nothing is left of it, -2: a zombie ...}
--          | a refusal: nothing was changed

local HOW = '>BI6BHHHHBc0'
local NOT_MEASURED = 65535
local GONE, ZOMBIE = -1, -2
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

-- What was given back has not run.
local function tally_measured(lane, outcome, ran, peak)
  if outcome ~= RELEASE and ran ~= NOT_MEASURED then
    tally(lane, 't' .. ran)
  end
  if outcome ~= RELEASE and peak ~= NOT_MEASURED then
    tally(lane, 'p' .. peak)
  end
end

-- Of the job of a hold, as it is answered.
local function end_row(row, outcome, ran, peak, ...)
  if not row then
    return ZOMBIE
  end
  tally_measured(row.lane, outcome, ran, peak)
  return not end_one(row, outcome, ...) and ZOMBIE or row.deleted and GONE or row.state
end

local ids, tokens = {}, {}
for at = 1, #ARGV[1], 14 do
  ids[#ids + 1] = string.sub(ARGV[1], at, at + 7)
  tokens[#tokens + 1] = string.sub(ARGV[1], at + 8, at + 13)
end
fetch_held(ids)
local answers, at = {'ok'}, 2
for index, id in ipairs(ids) do
  local outcome, delay, flag, ran, peak, here, elsewhere, class = struct.unpack(HOW, ARGV[at])
  local text, said, first = ARGV[at + 1], ARGV[at + 2], at + 3
  at = first + 2 * (here + elsewhere)
  local leaves_nothing = outcome == DONE_WELL and flag + here + elsewhere == 0 and said == ''
  local lane = leaves_nothing and finish_plainly(id, tokens[index])
  if lane then
    tally_measured(lane, outcome, ran, peak)
    answers[index + 1] = DONE
  else
    local row = held_by(id, (struct.unpack('>I6', tokens[index])))
    answers[index + 1] = end_row(row, outcome, ran, peak, delay, flag, text, said, first, here,
      elsewhere, class)
  end
  if refusal then
    return refusal
  end
end
commit()
return answers

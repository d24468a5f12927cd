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

local ids, tokens = {}, {}
for at = 1, #ARGV[1], 14 do
  ids[#ids + 1] = string.sub(ARGV[1], at, at + 7)
  tokens[#tokens + 1] = string.sub(ARGV[1], at + 8, at + 13)
end
fetch_held(ids)
local answers, at, some = {'ok'}, 2, nil
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
    some = some or others()
    local refusal
    answers[index + 1], refusal = some.finish(id, tokens[index], outcome, ran, peak, delay, flag, text,
      said, first, here, elsewhere, class)
    if refusal then
      return refusal
    end
  end
end
commit_with(some)
return answers

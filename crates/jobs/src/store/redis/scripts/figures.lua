-- What is on a queue.
--
-- ARGV  1  kind whose failed jobs are counted, or empty
-- Result   {"ok", paused, limit or "", how many of each state ..., suspects that wait, ms the oldest
--          has waited or -1, failed jobs of the kind}

local states, suspects, of_kind = {0, 0, 0, 0, 0, 0, 0}, 0, 0
local counts = call('HGETALL', base .. 'counts')
for at = 1, #counts, 2 do
  local state, jobs = counts[at] % 8, tonumber(counts[at + 1])
  local lane = (counts[at] - state) / 8
  states[state + 1] = states[state + 1] + jobs
  if state == WAITING and lane % 2 == 1 then
    suspects = suspects + jobs
  end
  if state == FAILED and jobs > 0 and ARGV[1] ~= '' and string.sub(lane_name(lane), 5) == ARGV[1] then
    of_kind = of_kind + jobs
  end
end
local first = call('ZRANGE', base .. 'open', 0, 0, 'WITHSCORES')
local waited = first[2] and math.max(0, now_ms - tonumber(first[2])) or -1
return {
  'ok', queue[9] == '1' and 1 or 0, queue[8] or '', states[1], states[2], states[3], states[4],
  states[5], states[6], states[7], suspects, waited, of_kind,
}

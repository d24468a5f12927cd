-- Pushes what was due by a schedule and moves its mark, if that is where it was seen.
--
-- ARGV  1  name
--       2  the mark that was seen, or ""
--       3  the mark from now on
--       4… job and body, for each
-- Result   {"ok", 1, as push} | {"ok", 0, where the mark is, or ""}: nothing was changed | a refusal

local SCHEDULES = 1000

local kept = call('HGET', base .. 'schedules', ARGV[1])
local mark, fired = string.match(kept or ' ', '^(%d*) (%d*)$')
if mark ~= ARGV[2] then
  return {'ok', 0, mark}
end
if not kept and call('HLEN', base .. 'schedules') >= SCHEDULES then
  return {'many_schedules', SCHEDULES}
end
local answers = push_all(4, true)
if not answers then
  return refusal
end
fired = #ARGV > 3 and ARGV[3] or fired
call('HSET', base .. 'schedules', ARGV[1], ARGV[3] .. ' ' .. fired)
commit()
return {'ok', 1, answers}

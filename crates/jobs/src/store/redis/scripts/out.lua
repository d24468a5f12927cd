-- Jobs for other queues: gives some, after those that were delivered are gone.
--
-- ARGV  1  how many
--       2… ids of what was delivered
-- Result   {"ok", packed job ...}

in_parts('HDEL', base .. 'out', {unpack(ARGV, 2)})
local most = tonumber(ARGV[1])
if most == 0 then
  return {'ok'}
end
local jobs = {'ok'}
local cursor = '0'
repeat
  local part = call('HSCAN', base .. 'out', cursor, 'COUNT', most)
  cursor = part[1]
  for at = 2, #part[2], 2 do
    jobs[#jobs + 1] = part[2][at]
  end
until #jobs > 1 or cursor == '0'
return jobs

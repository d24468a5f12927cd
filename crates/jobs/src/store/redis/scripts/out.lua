-- Jobs for other queues: gives some in the order in which they came, after those that were delivered
-- are gone. Only where there are many of them, others may be first.
--
-- ARGV  1  how many
--       2… members that were delivered
-- Result   {"ok", {member, packed job} ...}

in_parts('HDEL', base .. 'out', {unpack(ARGV, 2)})
local most = tonumber(ARGV[1])
if most == 0 then
  return {'ok'}
end
local jobs = {}
local cursor = '0'
repeat
  local part = call('HSCAN', base .. 'out', cursor, 'COUNT', most)
  cursor = part[1]
  for at = 2, #part[2], 2 do
    jobs[#jobs + 1] = {part[2][at - 1], part[2][at]}
  end
until #jobs > 0 or cursor == '0'
table.sort(jobs, function(one, other)
  return struct.unpack('>I6', one[1]) < struct.unpack('>I6', other[1])
end)
return {'ok', unpack(jobs)}

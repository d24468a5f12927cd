-- Deletes what ended, however, before a time; and lanes that count nothing.
--
-- ARGV  1  how long ago, ms
--       2  how many at most
-- Result   {"ok", how many jobs}

local before, most = '(' .. string.format('%.0f', now_ms - ARGV[1]), tonumber(ARGV[2])
local old = call('ZRANGEBYSCORE', base .. 'ended', '-inf', before, 'LIMIT', 0, most)
for _, m in ipairs(old) do
  local row = get_unheld(string.sub(m, 7))
  if row and ended(row.state) then
    delete(row)
  else
    call('ZREM', base .. 'ended', m)
  end
end
commit()
for _, id in ipairs(call('ZRANGEBYSCORE', base .. 'bf', '-inf', before, 'LIMIT', 0, most)) do
  call('UNLINK', base .. 'b:' .. id)
  call('ZREM', base .. 'bf', id)
end

if #old < most then
  local jobs, counts = {}, call('HGETALL', base .. 'counts')
  for at = 1, #counts, 2 do
    local lane = math.floor(counts[at] / 8)
    lane = lane - lane % 2
    jobs[lane] = (jobs[lane] or 0) + counts[at + 1]
  end
  for lane, left in pairs(jobs) do
    if left == 0 then
      call('HDEL', base .. 'lanes', 'd' .. lane, 'n' .. lane_name(lane))
      for at = 8 * lane, 8 * lane + 15 do
        call('HDEL', base .. 'counts', at)
      end
    end
  end
end
return {'ok', #old}

-- Ends a session.
--
-- ARGV  1  its hash
-- Result   {"ok", 1 when there was one}

local key = base .. 'session:' .. ARGV[1]
local name = call('GET', key)
if not name then
  return {'ok', 0}
end
call('ZREM', base .. 'of:' .. name, ARGV[1])
return {'ok', call('DEL', key)}

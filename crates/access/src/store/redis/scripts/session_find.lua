-- Whose a session is.
--
-- ARGV  1  its hash
-- Result   {"ok", what is left of it, ms, name, the user as it is kept} | {"none"}

local key = base .. 'session:' .. ARGV[1]
local name = call('GET', key)
local row = name and call('HGET', base .. 'users', name)
local left_ms = call('PTTL', key)
if not row or left_ms <= 0 then
  return {'none'}
end
return {'ok', text_of(left_ms), name, row}

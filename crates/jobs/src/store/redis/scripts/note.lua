-- Keeps what a running job says: how far it is, where to go on, what is recorded once.
--
-- ARGV  1  id and token in one
--       2  p: progress, c: checkpoint, o: recorded once
--       3  the value
--       4  the key, for o
--       5  how many are recorded at most
-- Result   {"ok", as start} | {"many_results", how many there are}

local id = string.sub(ARGV[1], 1, 8)
fetch_held({id})
local row = held_by(id, struct.unpack('>I6', ARGV[1], 9))
if not row then
  return {'ok', 0}
end
if ARGV[2] == 'o' then
  local key = base .. 'once:' .. id
  local recorded = call('HLEN', key)
  if recorded >= tonumber(ARGV[5]) then
    return {'many_results', recorded}
  end
  call('HSETNX', key, ARGV[4], ARGV[3])
else
  call('HSET', base .. 'x:' .. id, ARGV[2], ARGV[3])
end
if ARGV[2] == 'c' and not row.checkpoint then
  touch(row)
  row.checkpoint = true
end
commit()
return {'ok', is_cancelling(row) and 2 or 1}

-- Revokes a token.
--
-- ARGV  1  id
-- Result   {"ok", 1 when there was one}

local hash = call('HGET', base .. 'ids', ARGV[1])
if not hash then
  return {'ok', 0}
end
call('HDEL', base .. 'tokens', hash)
call('HDEL', base .. 'used', hash)
call('HDEL', base .. 'ids', ARGV[1])
return {'ok', 1}

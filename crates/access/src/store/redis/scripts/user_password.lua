-- The hash of a user's password.
--
-- ARGV  1  name
-- Result   {"ok", the hash} | {"none"}

local password = call('HGET', base .. 'passwords', ARGV[1])
if not password then
  return {'none'}
end
return {'ok', string.match(password, '^%d+ (.*)$')}

-- Keeps a user, unless there is one of this name.
--
-- ARGV  1  name
--       2  JSON
--       3  the hash of the password
--       4  how many may be kept
-- Result   {"ok"} | {"many_users"} | {"user_exists"}

if call('HEXISTS', base .. 'users', ARGV[1]) == 1 then
  return {'user_exists'}
end
if call('HLEN', base .. 'users') >= tonumber(ARGV[4]) then
  return {'many_users'}
end
keep_format()
call('HSET', base .. 'users', ARGV[1], text_of(now_ms) .. ' ' .. ARGV[2])
call('HSET', base .. 'passwords', ARGV[1], text_of(now_ms) .. ' ' .. ARGV[3])
return {'ok'}

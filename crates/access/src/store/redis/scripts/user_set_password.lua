-- Sets the password of a user, and ends the sessions.
--
-- ARGV  1  name
--       2  its hash
-- Result   {"ok", 1 when there is such a one}

if call('HEXISTS', base .. 'users', ARGV[1]) == 0 then
  return {'ok', 0}
end
end_sessions(ARGV[1])
call('HSET', base .. 'passwords', ARGV[1], text_of(now_ms) .. ' ' .. ARGV[2])
return {'ok', 1}

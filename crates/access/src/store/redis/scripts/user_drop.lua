-- Removes a user with the sessions.
--
-- ARGV  1  name
-- Result   {"ok", 1 when there was one}

end_sessions(ARGV[1])
call('HDEL', base .. 'passwords', ARGV[1])
return {'ok', call('HDEL', base .. 'users', ARGV[1])}

-- What was recorded once.
--
-- ARGV  1  id
--       2  key
-- Result   {"none"} | {"ok", the value}

local value = call('HGET', base .. 'once:' .. ARGV[1], ARGV[2])
return value and {'ok', value} or {'none'}

-- Writes down that a token was used just now, if it is still there.
--
-- ARGV  1  its hash
-- Result   {"ok"}

if call('HEXISTS', base .. 'tokens', ARGV[1]) == 1 then
  call('HSET', base .. 'used', ARGV[1], text_of(now_ms))
end
return {'ok'}

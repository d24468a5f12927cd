-- Lengthens a lease that is still the asker's.
--
-- KEYS  1  lease
-- ARGV  1  token of the asker, 8 bytes
--       2  how long it lasts from now, ms
-- Result   1, or 0: it is another's or nobody's

if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

-- Removes an entry that is still the one that was seen. Nobody is told: it may be held elsewhere.
--
-- KEYS  1  entry
-- ARGV  1  its commit, 8 bytes
--       2  first byte of the commit in an entry
-- Result   1, or 0: it is another one, or gone

if redis.call('GETRANGE', KEYS[1], ARGV[2], ARGV[2] + 7) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])

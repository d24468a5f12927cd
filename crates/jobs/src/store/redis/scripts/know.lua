-- Adds a queue to those that are known.
--
-- KEYS  1  set of the names of queues
-- ARGV  1  name
--       2  how many at most
-- Result   {"ok"} | {"full"}

if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then
    return {'full'}
  end
  redis.call('SADD', KEYS[1], ARGV[1])
end
return {'ok'}

-- Sets what people say about a queue.
--
-- ARGV  1  paused or most
--       2  the value
-- Result   {"ok"}

call('HSET', KEYS[1], ARGV[1], ARGV[2])
keep_queue()
return {'ok'}

-- Begins a session of a user whose password is still the one that was compared. Above the limit the
-- one goes that would end first.
--
-- ARGV  1  its hash
--       2  name
--       3  the hash of the password
--       4  how long it lives, ms
--       5  how many one user may have
-- Result   {"ok", 1} | {"ok", 0}: the password is another one

local password = call('HGET', base .. 'passwords', ARGV[2])
if not password or string.match(password, '^%d+ (.*)$') ~= ARGV[3] then
  return {'ok', 0}
end
local of = base .. 'of:' .. ARGV[2]
call('ZREMRANGEBYSCORE', of, '-inf', text_of(now_ms))
local over = call('ZCARD', of) - tonumber(ARGV[5])
if over >= 0 then
  for _, hash in ipairs(call('ZRANGE', of, 0, over)) do
    call('DEL', base .. 'session:' .. hash)
    call('ZREM', of, hash)
  end
end
local lifetime_ms = tonumber(ARGV[4])
call('SET', base .. 'session:' .. ARGV[1], ARGV[2], 'PX', ARGV[4])
local left_ms = call('PTTL', of)
call('ZADD', of, text_of(now_ms + lifetime_ms), ARGV[1])
call('PEXPIRE', of, text_of(math.max(lifetime_ms, left_ms)))
return {'ok', 1}

-- Writes down what was asked for, or counts it where it is the same as a moment ago.
--
-- ARGV  1  JSON
--       2  what makes it the same, or ""
--       3  for how long it does, ms
--       4  how many entries are kept
-- Result   {"ok"}

-- Beyond them all are forgotten, and what repeats is written down once more.
local SAME = 1000

if ARGV[2] ~= '' then
  local number, at_ms = string.match(call('HGET', base .. 'same', ARGV[2]) or '', '^(%d+) (%d+)$')
  if number and now_ms - tonumber(at_ms) <= tonumber(ARGV[3]) then
    local row = call('ZRANGEBYSCORE', base .. 'entries', number, number)[1]
    if row then
      local times, record = string.match(row, '^%d+ %d+ %d+ (%d+) (.*)$')
      local again = {number, at_ms, text_of(now_ms), text_of(times + 1), record}
      call('ZREM', base .. 'entries', row)
      call('ZADD', base .. 'entries', number, table.concat(again, ' '))
      return {'ok'}
    end
  end
end
keep_format()
local number = text_of(call('HINCRBY', KEYS[1], 'entry', 1))
local now = text_of(now_ms)
call('ZADD', base .. 'entries', number, table.concat({number, now, now, '1', ARGV[1]}, ' '))
call('ZREMRANGEBYRANK', base .. 'entries', 0, -1 - tonumber(ARGV[4]))
if ARGV[2] ~= '' then
  if call('HLEN', base .. 'same') >= SAME then
    call('DEL', base .. 'same')
  end
  call('HSET', base .. 'same', ARGV[2], number .. ' ' .. now)
end
return {'ok'}

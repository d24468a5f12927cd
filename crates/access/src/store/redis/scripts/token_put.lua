-- Keeps a token; those that expired long ago go.
--
-- ARGV  1  id
--       2  its hash
--       3  JSON
--       4  how long it lives, ms, or ""
--       5  how many may be kept
--       6  how long an expired one is kept, ms
-- Result   {"ok"} | {"many_tokens"}

local all = call('HGETALL', base .. 'tokens')
local kept = #all / 2
for at = 1, #all, 2 do
  local expires, record = string.match(all[at + 1], '^%d+ (%S+) (.*)$')
  if expires ~= '-' and tonumber(expires) + tonumber(ARGV[6]) <= now_ms then
    local id = string.match(record, '"id":"(%x+)"')
    call('HDEL', base .. 'tokens', all[at])
    call('HDEL', base .. 'used', all[at])
    call('HDEL', base .. 'ids', id)
    kept = kept - 1
  end
end
if kept >= tonumber(ARGV[5]) then
  return {'many_tokens'}
end
local expires = ARGV[4] == '' and '-' or text_of(now_ms + tonumber(ARGV[4]))
keep_format()
call('HSET', base .. 'tokens', ARGV[2], text_of(now_ms) .. ' ' .. expires .. ' ' .. ARGV[3])
call('HSET', base .. 'ids', ARGV[1], ARGV[2])
return {'ok'}

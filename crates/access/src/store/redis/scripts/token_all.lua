-- All tokens.
--
-- Result   {"ok", now_ms, as it is kept, when it was used last, or "", ...}

local answer = {'ok', text_of(now_ms)}
local all = call('HGETALL', base .. 'tokens')
for at = 1, #all, 2 do
  answer[#answer + 1] = all[at + 1]
  answer[#answer + 1] = call('HGET', base .. 'used', all[at]) or ''
end
return answer

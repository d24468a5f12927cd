-- All users.
--
-- Result   {"ok", name, as it is kept, when the password was set, ms, ...}

local answer = {'ok'}
local all = call('HGETALL', base .. 'users')
for at = 1, #all, 2 do
  local password = call('HGET', base .. 'passwords', all[at]) or ''
  answer[#answer + 1] = all[at]
  answer[#answer + 1] = all[at + 1]
  answer[#answer + 1] = string.match(password, '^(%d+) ') or '0'
end
return answer

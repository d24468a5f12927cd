-- Puts on record that jobs run.
--
-- ARGV  id and token in one, for each
-- Result   {"ok", for each 0: lost, 1: yes, 2: yes, and it is to stop}

local ids = {}
for at = 1, #ARGV do
  ids[at] = string.sub(ARGV[at], 1, 8)
end
fetch_held(ids)
local told, some = {'ok'}, nil
for at, id in ipairs(ids) do
  if start_plainly(id, string.sub(ARGV[at], 9, 14)) then
    told[at + 1] = 1
  else
    some = some or others()
    told[at + 1] = some.start(id, ARGV[at])
  end
end
commit_with(some)
return told

-- Puts on record that jobs run.
--
-- ARGV  id and token in one, for each
-- Result   {"ok", for each 0: lost, 1: yes, 2: yes, and it is to stop}

local ids = {}
for at = 1, #ARGV do
  ids[at] = string.sub(ARGV[at], 1, 8)
end
fetch_held(ids)
local told = {'ok'}
for at, id in ipairs(ids) do
  local row = held_by(id, struct.unpack('>I6', ARGV[at], 9))
  local stops = row and is_cancelling(row)
  if not row then
    told[at + 1] = 0
  elseif stops and row.state == CLAIMED then
    cancel(row)
    told[at + 1] = 0
  else
    -- One that runs already was started by a call whose answer got lost.
    go(row, 'start')
    told[at + 1] = stops and 2 or 1
  end
end
commit()
return told

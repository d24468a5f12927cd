-- Puts on record that jobs run.
--
-- ARGV  id and token in one, for each
-- Result   {"ok", for each 0: lost, 1: yes, 2: yes, and it is to stop}

local function start(id, hold)
  if start_plainly(id, string.sub(hold, 9, 14)) then
    return 1
  end
  local row = held_by(id, struct.unpack('>I6', hold, 9))
  if not row then
    return 0
  end
  local stops = is_cancelling(row)
  if stops and row.state == CLAIMED then
    cancel(row)
    return 0
  end
  -- One that runs already was started by a call whose answer got lost.
  go(row, 'start')
  return stops and 2 or 1
end

local ids = {}
for at = 1, #ARGV do
  ids[at] = string.sub(ARGV[at], 1, 8)
end
fetch_held(ids)
local told = {'ok'}
for at, id in ipairs(ids) do
  told[at + 1] = start(id, ARGV[at])
end
commit()
return told

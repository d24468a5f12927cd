-- Jobs that are not plain are started with their rows.

local function start(id, hold)
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

return {start = start, commit = commit}

-- Cancels jobs: what runs is told, what does not run ends.
--
-- ARGV  ids
-- Result   {"ok", for each: 0 at once, 1 told, 2 unknown, 10 + the state in which it had ended ...}

local met = {'ok'}
for at, id in ipairs(ARGV) do
  local row = get(id)
  if not row then
    met[at + 1] = 2
  elseif ended(row.state) then
    met[at + 1] = 10 + row.state
  elseif row.state == RUNNING then
    touch(row)
    row.cancelling = true
    met[at + 1] = 1
  else
    cancel(row)
    met[at + 1] = 0
  end
end
commit()
return met

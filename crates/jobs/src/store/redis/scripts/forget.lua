-- Deletes failed jobs.
--
-- ARGV  ids
-- Result   {"ok", for each 1 when there was such a failed job ...}

local gone = {'ok'}
for at, id in ipairs(ARGV) do
  local row = get(id)
  local failed = row and row.state == FAILED
  if failed then
    delete(row)
  end
  gone[at + 1] = failed and 1 or 0
end
commit()
return gone

-- Failed and cancelled jobs are tried again, with all their attempts; a suspect stays one.
--
-- ARGV  ids
-- Result   {"ok", for each: 0 waits, 1 another job holds its unique key, 2 it has not failed ...}

local revived = {'ok'}
for at, id in ipairs(ARGV) do
  local row = get(id)
  local key = row and STEPS.revive[row.state] and row.keyed and key_of(row)
  if key and key_holder(key) then
    revived[at + 1] = 1
  elseif row and go(row, 'revive') then
    if key then
      set_key(key, id)
    end
    row.lapses = math.min(row.lapses, 1)
    row.attempt, row.exceptions, row.kills, row.cancelling = row.lapses, 0, 0, false
    row.since, row.at = now_ms, now_ms
    revived[at + 1] = 0
  else
    revived[at + 1] = 2
  end
end
commit()
return revived

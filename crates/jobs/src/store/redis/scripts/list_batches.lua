-- Batches that have not finished, the last that was pushed first, or that have, the last of them first.
--
-- ARGV  1  bo or bf
--       2  at_ms and 3  id of the last one seen, or "" and ""
--       4  how many rows at most
--       5  how many batches are looked at
--       6…  tenants, one of which it is; none is any
-- Result   {"ok", at_ms and id where to go on or "" and "", {id, what `show_batch` shows ...} ...}

local rows_most, looks = tonumber(ARGV[4]), tonumber(ARGV[5])
local tenants
for at = 6, #ARGV do
  tenants = tenants or {}
  tenants[ARGV[at]] = true
end

-- As numbers: how texts compare is the locale's.
local seen_high, seen_low = nil, nil
if ARGV[3] ~= '' then
  seen_high, seen_low = struct.unpack('>I4I4', ARGV[3])
end

local function is_behind(at, id)
  if not seen_high or at ~= ARGV[2] then
    return true
  end
  local high, low = struct.unpack('>I4I4', id)
  return high < seen_high or high == seen_high and low < seen_low
end

local found, looked, offset = {'ok', '', ''}, 0, 0
while true do
  local part = call('ZREVRANGEBYSCORE', base .. ARGV[1], ARGV[2] == '' and '+inf' or ARGV[2], '-inf',
    'WITHSCORES', 'LIMIT', offset, 500)
  for at = 1, #part, 2 do
    local id = part[at]
    if is_behind(part[at + 1], id) then
      local batch = call('HMGET', base .. 'b:' .. id, 'name', 'total', 'pending', 'failed',
        'cancelled', 'stopped', 'created_ms', 'tenant', 'finished_ms')
      if batch[1] and (not tenants or tenants[batch[8]]) then
        found[#found + 1] = {id, unpack(batch, 1, 9)}
      end
      looked = looked + 1
      if #found - 3 == rows_most or looked == looks then
        found[2], found[3] = part[at + 1], id
        return found
      end
    end
  end
  if #part < 1000 then
    return found
  end
  offset = offset + 500
end

-- Failed jobs, the last that failed first, as far as one look goes.
--
-- ARGV  1  at_ms and 2  seq of the last one seen, or +inf and 0
--       3  how many rows at most
--       4  how many jobs are looked at
--       5  kind, 6  tenant, 7  text in the last reason: empty is any
-- Result   {"ok", at_ms and seq where to go on or "" and "", {id, head, version and kind, body up to
--          its payload or "", last reason} ...}

local rows_most, looks = tonumber(ARGV[3]), tonumber(ARGV[4])
local seen_seq = tonumber(ARGV[2])
local found, looked, offset, first = {'ok', '', ''}, 0, 0, true

local function reason_of(id)
  local attempt = call('LINDEX', base .. 'a:' .. id, -1)
  if not attempt then
    return ''
  end
  local _, _, _, _, _, at = struct.unpack('>I6I6Bc0Bc0I4c0', attempt)
  return string.sub(attempt, at)
end

local function matches(id)
  local head = call('GETRANGE', base .. 'j:' .. id, 0, HEAD_BYTES + 2 + 256 + 1 + 128)
  local row = read_head(id, head)
  if not row then
    return nil
  end
  local name = lane_name(row.lane)
  if ARGV[5] ~= '' and string.sub(name, 5) ~= ARGV[5] then
    return nil
  end
  local body = string.sub(head, HEAD_BYTES + 1)
  if ARGV[6] ~= '' and select(2, struct.unpack('>Hc0Bc0', body)) ~= ARGV[6] then
    return nil
  end
  local reason = reason_of(id)
  if ARGV[7] ~= '' and not string.find(reason, ARGV[7], 1, true) then
    return nil
  end
  return {id, head_of(row), name, body, reason}
end

while true do
  local part = call('ZREVRANGEBYSCORE', base .. 'failed', ARGV[1], '-inf', 'WITHSCORES', 'LIMIT',
    offset, 500)
  if #part == 0 then
    return found
  end
  for at = 1, #part, 2 do
    local row_seq = struct.unpack('>I6', part[at])
    local is_seen = part[at + 1] == ARGV[1] and row_seq >= seen_seq
    if not is_seen then
      found[#found + 1] = matches(string.sub(part[at], 7))
      looked = looked + 1
      if #found - 3 == rows_most or looked == looks then
        found[2], found[3] = part[at + 1], row_seq
        return found
      end
    end
  end
  offset = offset + 500
end

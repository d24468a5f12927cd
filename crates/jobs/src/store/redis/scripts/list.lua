-- Jobs of one list in its order, as far as one look goes.
--
-- ARGV  1  leases, due, failed or ended, the last first in the last two; or wait: all lanes together
--       2  at_ms and 3  seq of the last one seen, or "" and 0
--       4  how many rows at most
--       5  how many jobs are looked at
--       6  state, 7  kind, 8  batch, 9  text in the last reason: empty is any
--       10…  tenants, one of which it is; none is any
-- Result   {"ok", at_ms and seq where to go on or "" and "", {id, at_ms, head, version and kind, body up
--          to its payload or "", last reason} ...}

local list, seen_at, seen_seq = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local rows_most, looks = tonumber(ARGV[4]), tonumber(ARGV[5])
local descends = list == 'failed' or list == 'ended'
local tenants
for at = 10, #ARGV do
  tenants = tenants or {}
  tenants[ARGV[at]] = true
end

local function is_behind(at, row_seq)
  if not seen_at or at ~= seen_at then
    return true
  end
  if descends then
    return row_seq < seen_seq
  end
  return row_seq > seen_seq
end

-- The unseen of one index, at most so many, and whether there are more.
local function unseen(key, most)
  local command, first, last = 'ZRANGEBYSCORE', '-inf', '+inf'
  if descends then
    command, first, last = 'ZREVRANGEBYSCORE', '+inf', '-inf'
  end
  local entries, offset, step = {}, 0, math.min(500, most)
  while true do
    local part = call(command, base .. key, seen_at and ARGV[2] or first, last, 'WITHSCORES',
      'LIMIT', offset, step)
    for at = 1, #part, 2 do
      local entry = {
        at = tonumber(part[at + 1]), seq = (struct.unpack('>I6', part[at])),
        id = string.sub(part[at], 7),
      }
      if is_behind(entry.at, entry.seq) then
        entries[#entries + 1] = entry
        if #entries == most then
          return entries, true
        end
      end
    end
    -- Each with its score.
    if #part < 2 * step then
      return entries, false
    end
    offset = offset + step
  end
end

local function before(one, other)
  return one.at < other.at or one.at == other.at and one.seq < other.seq
end

-- Each lane has its own line: they are looked at equally far, and brought into one order. Behind the
-- first stop not all of them are known.
local function waiting()
  local entries, stop = {}, nil
  local open = call('ZRANGE', base .. 'open', 0, -1)
  local each = math.max(1, math.floor(looks / math.max(1, #open)))
  for _, lane in ipairs(open) do
    if ARGV[7] == '' or string.sub(lane, 9) == ARGV[7] then
      local part, more = unseen('wait:' .. struct.unpack('>I4', lane), each)
      for _, entry in ipairs(part) do
        entries[#entries + 1] = entry
      end
      if more and (not stop or before(part[#part], stop)) then
        stop = part[#part]
      end
    end
  end
  table.sort(entries, before)
  while stop and #entries > 0 and before(stop, entries[#entries]) do
    entries[#entries] = nil
  end
  return entries, stop
end

local function reason_of(id)
  -- An end that was good has none, and stands behind the last attempt that was not.
  for place = -1, -2, -1 do
    local attempt = call('LINDEX', base .. 'a:' .. id, place)
    if not attempt then
      return ''
    end
    local _, _, step, _, _, at = struct.unpack('>I6I6Bc0Bc0I4c0', attempt)
    if step ~= 'finish' then
      return string.sub(attempt, at)
    end
  end
  return ''
end

local function shown(entry)
  local id = entry.id
  local stored = call('GETRANGE', base .. 'j:' .. id, 0, HEAD_BYTES + 2 + 256 + 1 + 128)
  local row
  if list == 'leases' then
    row = get(id)
  else
    row = read_head(id, stored)
  end
  if not row or ARGV[6] ~= '' and row.state ~= tonumber(ARGV[6]) then
    return nil
  end
  local name = lane_name(row.lane)
  if ARGV[7] ~= '' and string.sub(name, 5) ~= ARGV[7] then
    return nil
  end
  if ARGV[8] ~= '' and row.batch ~= ARGV[8] then
    return nil
  end
  local body = string.sub(stored, HEAD_BYTES + 1)
  if tenants and not tenants[select(2, struct.unpack('>Hc0Bc0', body))] then
    return nil
  end
  local reason = reason_of(id)
  if ARGV[9] ~= '' and not string.find(reason, ARGV[9], 1, true) then
    return nil
  end
  return {id, text_of(entry.at), head_of(row), name, body, reason}
end

local entries, stop
if list == 'wait' then
  entries, stop = waiting()
else
  local more
  entries, more = unseen(list, looks)
  stop = more and entries[#entries] or nil
end
local found = {'ok', '', ''}
for _, entry in ipairs(entries) do
  found[#found + 1] = shown(entry)
  if #found - 3 == rows_most then
    stop = entry
    break
  end
end
if stop then
  found[2], found[3] = text_of(stop.at), stop.seq
end
return found

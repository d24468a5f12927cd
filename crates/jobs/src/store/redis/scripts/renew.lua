-- The heartbeat: leases end later.
--
-- ARGV  1  lease, ms
--       2… id and token in one, for each
-- Result   as start

local ids = {}
for at = 2, #ARGV do
  ids[at - 1] = string.sub(ARGV[at], 1, 8)
end
leased(tonumber(ARGV[1]))
fetch_held(ids)
local told, leases = {'ok'}, {}
for at, id in ipairs(ids) do
  local row = held_by(id, struct.unpack('>I6', ARGV[at + 1], 9))
  if row then
    leases[#leases + 1] = now_ms + tonumber(ARGV[1])
    leases[#leases + 1] = row.m
  end
  told[at + 1] = not row and 0 or is_cancelling(row) and 2 or 1
end
in_parts('ZADD', base .. 'leases', leases)
keep_queue()
return told

-- Takes back what nobody renews, or what a worker holds that is known to be dead.
--
-- ARGV  1  the worker, or ""
--       2  how many at most
-- Result   {"ok", unstarted, suspects, ended, 1 when there may be more, 1 when nothing is taken back
--          yet}

local most = tonumber(ARGV[2])
local members
if ARGV[1] ~= '' then
  members = call('SRANDMEMBER', base .. 'by:' .. ARGV[1], most)
elseif now_ms < until_ms then
  keep_queue()
  return {'ok', 0, 0, 0, 0, 1}
else
  members = call('ZRANGEBYSCORE', base .. 'leases', '-inf', now_ms, 'LIMIT', 0, most)
end
table.sort(members, function(one, other)
  return struct.unpack('>I6', one) < struct.unpack('>I6', other)
end)

local REASON = 'its worker fell silent or died'
local ids = {}
for at, m in ipairs(members) do
  ids[at] = string.sub(m, 7)
end
fetch_held(ids)
local unstarted, suspects, gone = 0, 0, 0
for at, id in ipairs(ids) do
  local row = rows[id]
  local was, worker = row and row.state, row and row.worker
  if not row then
    -- What is no job any more holds up no other.
    call('ZREM', base .. 'leases', members[at])
    call('SREM', base .. 'by:' .. ARGV[1], members[at])
  elseif is_cancelling(row) then
    cancel(row)
    record(row, worker, 'cancel', REASON)
    gone = gone + 1
  else
    lapse(row)
    if row.state == FAILED then
      record(row, worker, 'fail', REASON .. ', for the ' .. row.lapses .. 'th time in a row')
      gone = gone + 1
    else
      record(row, worker, 'lapse', REASON)
      unstarted = unstarted + (was == CLAIMED and 1 or 0)
      suspects = suspects + (was == RUNNING and 1 or 0)
    end
  end
end
commit()
return {'ok', unstarted, suspects, gone, #members == most and 1 or 0, 0}

-- Everything that is kept of a job.
--
-- ARGV  1  id
-- Result   {"none"} | {"ok", head, end of the lease or "", version and kind, body, class
--          if it is isolated, progress, checkpoint, result, {ended attempts}}; what is missing is null

local row = get(ARGV[1])
if not row then
  return {'none'}
end
local extra = call('HMGET', base .. 'x:' .. row.id, 'i', 'p', 'c', 'r')
local lease = is_held(row.state) and call('ZSCORE', base .. 'leases', row.m)
return {
  'ok', head_of(row), lease or '', lane_name(row.lane), body_of(row), extra[1], extra[2], extra[3],
  extra[4],  call('LRANGE', base .. 'a:' .. row.id, 0, -1),
}

-- ARGV  1  batch
-- Result   {"none"} | {"ok", name, total, pending, failed, cancelled, stopped, created_ms,
--          tenant or null, finished_ms or null}

local found = call('HMGET', base .. 'b:' .. ARGV[1], 'name', 'total', 'pending', 'failed',
  'cancelled', 'stopped', 'created_ms', 'tenant', 'finished_ms')
if not found[1] then
  return {'none'}
end
return {'ok', unpack(found)}

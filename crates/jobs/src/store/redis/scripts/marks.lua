-- How far the schedules of the queue are.
--
-- Result   {"ok", name, mark and last one fired with a space between ...}

local found = call('HGETALL', base .. 'schedules')
return {'ok', unpack(found)}

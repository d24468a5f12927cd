-- A page of the audit log, the newest first.
--
-- ARGV  1  the number before which they are, or ""
--       2  how many
-- Result   {"ok", as it is kept ...}

local from = ARGV[1] == '' and '+inf' or '(' .. ARGV[1]
local found = call('ZREVRANGEBYSCORE', base .. 'entries', from, '-inf', 'LIMIT', 0, ARGV[2])
return {'ok', unpack(found)}

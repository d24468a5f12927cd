-- Pushes a batch with its first jobs, unless it is there.
--
-- ARGV  1  batch
--       2  name
--       3  1 when failures are allowed
--       4  then, 5  catch, 6  finally: job and body in one, or empty
--       7  tenant
--       8… job and body, for each
-- Result   {"ok", as push} | {"there"} | a refusal

local id = ARGV[1]
if batch_of(id) then
  return {'there'}
end
batches[id] = {
  total = 0, pending = 0, failed = 0, cancelled = 0, allow = ARGV[3] == '1', changed = true,
}
local answers = push_all(8, true)
if not answers then
  return refusal
end
local key = base .. 'b:' .. id
call('HSET', key, 'name', ARGV[2], 'allow', ARGV[3], 'created_ms', now_ms,
  'tenant', ARGV[7])
call('ZADD', base .. 'bo', now_ms, id)
for at, name in ipairs({'then', 'catch', 'finally'}) do
  if ARGV[3 + at] ~= '' then
    call('HSET', key, name, ARGV[3 + at])
  end
end
commit()
return {'ok', answers}

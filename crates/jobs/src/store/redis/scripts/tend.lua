-- Promotes what is due and cancels what waits in batches that were stopped.
--
-- ARGV  1  how many of each at most
-- Result   {"ok", promoted, cancelled, 1 when there may be more, ms until the next is due or -1,
--          1 when something waits in the outbox}

local most = tonumber(ARGV[1])
local promoted, cancelled = promote(most), 0
for _, id in ipairs(call('ZRANGE', base .. 'bs', 0, most - 1)) do
  if cancelled == most then
    break
  end
  for _, m in ipairs(call('ZRANGE', base .. 'bw:' .. id, 0, most - cancelled - 1)) do
    local row = get(string.sub(m, 7))
    if not row or not cancel(row) then
      call('ZREM', base .. 'bw:' .. id, m)
    end
    cancelled = cancelled + 1
  end
end
commit()
local first = call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
local more = promoted == most or cancelled == most
return {
  'ok', promoted, cancelled, more and 1 or 0,
  first[2] and math.max(0, tonumber(first[2]) - now_ms) or -1, call('EXISTS', base .. 'out'),
}

-- Whose a token is.
--
-- ARGV  1  its hash
-- Result   {"ok", now_ms, as it is kept, when it was used last, or ""} | {"none"}

local row = call('HGET', base .. 'tokens', ARGV[1])
if not row then
  return {'none'}
end
return {'ok', text_of(now_ms), row, call('HGET', base .. 'used', ARGV[1]) or ''}

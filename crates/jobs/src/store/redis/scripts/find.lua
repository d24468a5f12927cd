-- Which of these jobs are here.
--
-- ARGV  ids
-- Result   {"ok", for each 1 or 0 ...}

local here = {'ok'}
for at, id in ipairs(ARGV) do
  here[at + 1] = call('EXISTS', base .. 'j:' .. id)
end
return here

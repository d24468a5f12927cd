-- Pushes jobs: all of them or none.
--
-- ARGV  1  1 when the limits count
--       2… job and body, for each
-- Result   {"ok", {for each the id of what is there instead, empty where it is new ...}} | a refusal

local answers = push_all(2, ARGV[1] == '1')
if not answers then
  return refusal
end
commit()
return {'ok', answers}

-- How attempts end.

local NOT_MEASURED = 65535
local DONE_WELL, MISSING, RETRY, FAIL, RELEASE, KILL, CANCEL, ISOLATE = 0, 1, 2, 3, 4, 5, 6, 7

-- What was given back has not run.
local function tally_measured(lane, outcome, ran, peak)
  if outcome ~= RELEASE and ran ~= NOT_MEASURED then
    tally(lane, 't' .. ran)
  end
  if outcome ~= RELEASE and peak ~= NOT_MEASURED then
    tally(lane, 'p' .. peak)
  end
end

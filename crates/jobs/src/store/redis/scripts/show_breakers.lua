-- Breakers that are not closed.
--
-- Result   {"ok", {remote, since, ms that are left, trips, id of the probe or "", reason} ...}

local shown = {'ok'}
for at, breaker in ipairs(all_breakers()) do
  shown[at + 1] = {
    breaker.remote, breaker.since, left_of(breaker), breaker.trips, breaker.probe or '',
    breaker.reason,
  }
end
return shown

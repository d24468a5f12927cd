-- Stops a batch: none of its jobs is given out any more, and those that run are told.
--
-- ARGV  1  batch
-- Result   {"ok", 1 when there is one}

local batch = batch_of(ARGV[1])
if batch and not batch.finished_ms then
  batch.stopped, batch.changed = true, true
end
commit()
return {'ok', batch and 1 or 0}

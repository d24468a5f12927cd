-- Whether a job that is there is the one that is pushed again. 1: id. Result: kind, payload.
SELECT lane.kind, body.payload FROM job
JOIN lane ON lane.id = job.lane JOIN body ON body.seq = job.seq
WHERE job.id = ?1

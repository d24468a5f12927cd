-- 1: id of the job, 2: key. Result: value.
SELECT once.value FROM job JOIN once ON once.seq = job.seq WHERE job.id = ?1 AND once.key = ?2

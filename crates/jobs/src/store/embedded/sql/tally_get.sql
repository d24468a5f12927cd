-- 1: span, 2: at_ms, 3: tallied. Result: data.
SELECT data FROM tally WHERE span = ?1 AND at_ms = ?2 AND tallied = ?3

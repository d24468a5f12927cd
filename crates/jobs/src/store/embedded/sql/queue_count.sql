-- Result: how many.
SELECT count(*) FROM queue

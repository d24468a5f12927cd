-- Removes lanes that count nothing.
DELETE FROM lane
WHERE scheduled + waiting + claimed + running + done + failed + cancelled = 0

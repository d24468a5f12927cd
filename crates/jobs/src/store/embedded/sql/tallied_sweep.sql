-- Removes kinds that no lane counts under. 1: when they were seen last.
DELETE FROM tallied WHERE seen_ms < ?1 AND id NOT IN (SELECT tallied FROM lane)

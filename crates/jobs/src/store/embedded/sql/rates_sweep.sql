-- Removes rates that hold back nothing any more. 1: now.
DELETE FROM rate WHERE debt <= (?1 - at_ms) * count

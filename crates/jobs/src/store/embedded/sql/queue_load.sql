-- Jobs that wait or are scheduled. 1: queue. Result: how many.
SELECT coalesce(sum(scheduled + waiting), 0) FROM lane WHERE queue = ?1

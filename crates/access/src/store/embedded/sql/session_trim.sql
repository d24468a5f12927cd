-- 1: user, 2: how many are left of it.
DELETE FROM session WHERE hash IN (
    SELECT hash FROM session WHERE user = ?1 ORDER BY expires_ms DESC LIMIT -1 OFFSET ?2
)

-- 1: hash.
SELECT name, record, expires_ms FROM session JOIN user ON user.name = session.user
WHERE hash = ?1

-- 1: until when a token has to have expired to be forgotten.
DELETE FROM token WHERE expires_ms <= ?1

SELECT count(*) FROM token

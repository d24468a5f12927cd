SELECT count(*) FROM user

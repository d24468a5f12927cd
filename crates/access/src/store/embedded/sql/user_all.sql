SELECT name, record, created_ms, password_ms FROM user

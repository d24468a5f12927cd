SELECT record, created_ms, expires_ms, used_ms FROM token

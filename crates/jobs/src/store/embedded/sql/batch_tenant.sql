-- The second version of the schema: whose batch it is. What was pushed before is nobody's.
ALTER TABLE batch ADD COLUMN tenant TEXT NOT NULL DEFAULT 'system'

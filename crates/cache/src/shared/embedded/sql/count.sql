-- How many entries and versions there are, expired ones included.
SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM versions)

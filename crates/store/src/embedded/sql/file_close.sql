-- Marks the file as closed cleanly, in the last transaction of an owner. 1: time_ms.
UPDATE samovar_file SET clean = 1, time_ms = ?1 WHERE id = 1

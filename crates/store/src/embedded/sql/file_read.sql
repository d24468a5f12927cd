-- What the last owner left. Result: format, generation, clean, boot, place, time_ms; or no row.
SELECT format, generation, clean, boot, place, time_ms FROM samovar_file WHERE id = 1

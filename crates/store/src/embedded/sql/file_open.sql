-- Marks the file as open. 1: format, 2: generation, 3: boot, 4: place, 5: time_ms.
INSERT INTO samovar_file (id, format, generation, clean, boot, place, time_ms)
VALUES (1, ?1, ?2, 0, ?3, ?4, ?5)
ON CONFLICT (id) DO UPDATE SET
    format = excluded.format, generation = excluded.generation, clean = 0,
    boot = excluded.boot, place = excluded.place, time_ms = excluded.time_ms

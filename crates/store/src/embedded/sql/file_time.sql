-- Records how far the store's time has come. 1: time_ms.
UPDATE samovar_file SET time_ms = ?1 WHERE id = 1

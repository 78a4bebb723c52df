"""Files that hold tables: one file per format; :mod:`tasks.formats.reading` finds the reader."""

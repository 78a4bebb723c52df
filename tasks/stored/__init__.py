"""Tables that no memory holds: read in passes, encoded into files that are mapped, with the split of the whole."""

"""Published sets of language tasks through the same interface: one file each."""

"""What a way to keep a limit is worth on rows that did not choose."""

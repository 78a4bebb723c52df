"""Text experts as experts: readers, state cache, margin memory, calibration."""

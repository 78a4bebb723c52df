"""LLM adapter experts on the same rows, splits and metrics (the second half of the suite; nothing here yet)."""

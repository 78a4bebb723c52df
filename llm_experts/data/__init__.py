"""What language experts learn from and are examined on: items, their files, their tokens."""

"""A batch that rows join and leave: their keys and values, what they have read and said, one forward pass."""

"""The answer: which method to take at an allowed gap, how sure that is, and what it costs."""

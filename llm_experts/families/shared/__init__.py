"""What families share: drawing of items, words, and reading of answers."""

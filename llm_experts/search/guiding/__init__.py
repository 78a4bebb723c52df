"""Where a search looks next: by rule, and by advice of a language model."""

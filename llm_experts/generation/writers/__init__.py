"""Items that a language model writes: how it is asked, how its answers are read, what they cost."""

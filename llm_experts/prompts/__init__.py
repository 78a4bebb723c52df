"""A row as a prompt: pieces, packed prompts, keywords."""

"""The HTTP server: OpenAI's API for prompts, rows in and decisions out, what operators need."""

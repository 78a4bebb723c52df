"""Verbs that ask experts: chat, files of prompts, the route of a prompt, the server."""

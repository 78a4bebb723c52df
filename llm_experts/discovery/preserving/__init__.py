"""Small built-in sets of what must stay: calls of tools, personas, neutral texts."""

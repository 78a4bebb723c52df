"""What a base can do: domains, its answers, its own opinion."""

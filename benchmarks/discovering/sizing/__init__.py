"""How long a discovery takes here: rates, and the sizes that a budget leaves."""

"""How well, how surely and how evenly a router routes."""

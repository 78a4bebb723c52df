"""Self-guided discovery as a run: its steps in order, its gates, package, tracking and page."""

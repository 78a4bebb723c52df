"""What is written and checked: leaderboard, packages, registry, tracking."""

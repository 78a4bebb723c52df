"""Speed of the parts as ratios against named references: run, never test."""

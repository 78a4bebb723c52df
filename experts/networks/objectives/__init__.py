"""What the experts' roles optimise: one file per role."""

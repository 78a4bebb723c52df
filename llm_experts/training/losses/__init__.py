"""What trainers of language experts minimise, as functions of log-probabilities: no model, no data."""

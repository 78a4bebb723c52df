"""What all trainers of language experts share: settings, the loop, checkpoints, early stopping."""

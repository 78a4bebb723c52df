"""Networks: lanes, their trainer, checkpoints, attributions; one tensor program for all trials."""

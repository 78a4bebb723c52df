"""Stages of a job: tuned networks, gates, joint fine-tuning, baselines, text experts; a recipe per kind of method."""

"""Adapters trained as lanes: text blocks, objectives, trainer, tuning."""

"""Mixtures of text experts: bank, rows, singular-value vectors, dispatch, fine-tuning."""

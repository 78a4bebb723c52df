"""Adapters of one kind as lanes on token sequences: batches, frozen lower layers, log-probabilities, samples."""

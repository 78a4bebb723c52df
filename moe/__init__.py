"""The mixture: composition, joint fine-tuning, explanation, routing, serving. Start at :class:`moe.mixture.Mixture`."""

"""The mixture: composition, joint fine-tuning, explanation, routing. Start at :class:`moe.mixture.Mixture`."""

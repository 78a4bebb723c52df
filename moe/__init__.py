"""The mixture: composition, gate training, joint fine-tuning, routing. Start at :class:`moe.mixture.Mixture`."""

"""Packing: a saved model, or an adapter's folder, as one ``.expert`` file. Start at :mod:`artefacts.packing.pack`."""

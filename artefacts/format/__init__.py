"""The ``.expert`` package: its manifest, its archive, and every check that needs no torch.

Start at :func:`artefacts.format.archive.open_package` and :func:`artefacts.format.archive.pack`.
"""

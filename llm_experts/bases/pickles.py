"""Files of weights that run code when they are read: no part of the project reads them."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def is_pickle(path: Path) -> bool:
    """Whether a file has the name of pickled weights."""
    return path.suffix in SUFFIXES


def pickles_in(folder: Path) -> list[str]:
    """Names of pickled weights in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir() if is_pickle(path))

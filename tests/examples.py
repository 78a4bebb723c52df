"""The worked examples of the documentation: tests run what the pages show."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "examples"
"""Where they lie; ``plugins`` is a plug-in folder with all of them."""


def example(path: str) -> str:
    """Text of a file of the example's plug-in folder."""
    return (FOLDER / "plugins" / path).read_text(encoding="utf-8")

"""An adapter as vLLM reads it, and what vLLM takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes for --max-lora-rank; an adapter may have any rank up to it."""


@dataclass(frozen=True)
class Exported:
    """An adapter that vLLM can read.

    Attributes
    ----------
    name : str
    folder : Path
    kind : str
        What it was.
    rank : int
        Of the LoRA that it is now.
    """

    name: str
    folder: Path
    kind: str
    rank: int

"""Experts from folders, whatever their family."""

from __future__ import annotations

from pathlib import Path

from experts.graph.expert import GraphExpert
from experts.graph.settings import KINDS
from experts.networks.mlp import DESCRIPTION, MLPExpert, read_description


def load_expert(folder: Path) -> MLPExpert | GraphExpert:
    """Read an MLP or a graph expert.

    Raises
    ------
    ExpertError
        If a file is missing, damaged, or of another family; the text names the file.
    """
    facts = read_description(folder / DESCRIPTION, ("mlp", *KINDS), "an MLP or graph expert")
    return MLPExpert.load(folder) if facts["family"] == "mlp" else GraphExpert.load(folder)

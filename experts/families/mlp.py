"""Networks with one hidden layer on a row's own features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experts.families.family import Family

if TYPE_CHECKING:
    from experts.networks.mlp import MLPExpert
    from experts.tuning.network_tuner import NetworkTuner


def tuner() -> NetworkTuner:
    """Trials are lanes."""
    from experts.networks.network import MLP
    from experts.tuning.network_tuner import NetworkTuner

    return NetworkTuner(lambda _layers: MLP)


def load(folder: Path) -> MLPExpert:
    """A saved expert."""
    from experts.networks.mlp import MLPExpert

    return MLPExpert.load(folder)


FAMILY = Family(label="MLP", code="", needs_edges=False, explainer="integrated_gradients", tuner=tuner, load=load)

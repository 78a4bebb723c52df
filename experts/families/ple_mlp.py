"""Networks with one hidden layer on piecewise-linear encoded numbers (Gorishniy et al., NeurIPS 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experts.families.family import Family

if TYPE_CHECKING:
    from experts.networks.ple_mlp import PLEExpert
    from experts.tuning.network_tuner import NetworkTuner


def tuner() -> NetworkTuner:
    """Trials are lanes."""
    from experts.networks.ple_mlp import PLENetwork
    from experts.tuning.network_tuner import NetworkTuner

    return NetworkTuner(lambda _layers: PLENetwork())


def load(folder: Path) -> PLEExpert:
    """A saved expert."""
    from experts.networks.ple_mlp import PLEExpert

    return PLEExpert.load(folder)


FAMILY = Family(label="PLE-MLP", code="p", needs_edges=False, explainer="integrated_gradients", tuner=tuner, load=load)

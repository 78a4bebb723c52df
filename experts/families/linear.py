"""Logistic regression on numbers as they are or piecewise-linear encoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experts.families.family import Family

if TYPE_CHECKING:
    from experts.linear.expert import LinearExpert
    from experts.tuning.models import ModelTuner


def tuner() -> ModelTuner:
    """A model is fitted per trial."""
    from experts.linear.fitting import fit, space
    from experts.tuning.models import ModelTuner

    return ModelTuner("linear", fit, space)


def load(folder: Path) -> LinearExpert:
    """A saved expert."""
    from experts.linear.expert import LinearExpert

    return LinearExpert.load(folder)


FAMILY = Family(label="Linear", code="l", needs_edges=False, explainer="integrated_gradients", tuner=tuner, load=load)

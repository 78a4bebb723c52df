"""Gradient-boosted trees (LightGBM; Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experts.families.family import Family

if TYPE_CHECKING:
    from experts.trees.expert import TreeExpert
    from experts.tuning.models import ModelTuner


EXPLAINED_ROWS = 256
"""Validation rows on which reasons are measured: exact ones of deep trees cost as much as the trees."""


def tuner() -> ModelTuner:
    """A model is fitted per trial."""
    from experts.trees.fitting import fit, space
    from experts.tuning.models import ModelTuner

    return ModelTuner("gbdt", fit, space, explained_rows=EXPLAINED_ROWS)


def load(folder: Path) -> TreeExpert:
    """A saved expert."""
    from experts.trees.expert import TreeExpert

    return TreeExpert.load(folder)


FAMILY = Family(label="Trees", code="t", needs_edges=False, explainer="tree_shap", tuner=tuner, load=load)

"""Gradient-boosted trees (LightGBM; Ke et al., NeurIPS 2017)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experts.families.family import Family

if TYPE_CHECKING:
    from experts.trees.expert import TreeExpert
    from experts.tuning.models import ModelTuner


def tuner() -> ModelTuner:
    """A model is fitted per trial."""
    from experts.trees.fitting import fit, space
    from experts.tuning.models import ModelTuner

    return ModelTuner("gbdt", fit, space)


def load(folder: Path) -> TreeExpert:
    """A saved expert."""
    from experts.trees.expert import TreeExpert

    return TreeExpert.load(folder)


FAMILY = Family(label="Trees", code="t", needs_edges=False, explainer="tree_shap", tuner=tuner, load=load)

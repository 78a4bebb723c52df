"""Gradient-boosted trees (LightGBM)."""

from __future__ import annotations

from benchmarks.methods.baseline import Baseline
from benchmarks.methods.baselines._boosted import fit_boosted
from experts.trees.fitting import tree_space

METHOD = Baseline(
    label="LightGBM",
    about="plain trees, no fairness method",
    family="gbdt",
    reference="Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 2017",
    fit=fit_boosted,
    space=tree_space,
    colour="ink",
    explainer="tree_shap",
    place=40,
    seconds=(0.02, 0.2),
    levels=(("rival", "thresholds"), ("reference", "thresholds")),
)

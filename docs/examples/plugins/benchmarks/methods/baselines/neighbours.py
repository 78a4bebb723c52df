"""Nearest neighbours (scikit-learn)."""

from benchmarks.methods.baseline import Baseline
from benchmarks.methods.estimator_expert import fit_estimator


def space():
    from optuna.distributions import IntDistribution

    return {"n_neighbors": IntDistribution(5, 50)}


def fit(view, params, seed):
    from sklearn.neighbors import KNeighborsClassifier

    return fit_estimator(lambda: KNeighborsClassifier(**params), view, seed, name="neighbours", family="neighbours")


METHOD = Baseline(
    label="Nearest neighbours",
    about="what most of the nearest training rows are",
    family="neighbours",
    reference="Cover and Hart, Nearest Neighbor Pattern Classification, 1967; scikit-learn KNeighborsClassifier",
    fit=fit,
    space=space,
)

"""Into how many experts domains fall apart: partitions for every number, and which of them other items would repeat.

A partition is worth something if other items of the same domains give it again. So the items are halved at random many
times, domains are clustered in each half by average linkage of 1 - cosine, and the two partitions are compared by the
adjusted Rand index (Hubert and Arabie 1985), which is 1 for equal partitions and 0 on average for unrelated ones.
Whether there is any structure is asked of the best of all numbers, against the same computation on blocks dealt out to
domains at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import squareform

from foundation.seeding import derive_seed
from llm_experts.discovery.evidence import Array, Evidence

FEWEST, MOST = 3, 10
"""Experts of a plan (spec 004)."""
DRAWS = 50
"""Random halves."""
SHUFFLES = 39
"""Reference evidences without structure: the smallest p-value is 1 / 40."""
SURE = 0.05
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Stability:
    """How well a number of experts is borne out.

    Attributes
    ----------
    experts : int
    stability : float
        Mean adjusted Rand index between the partitions of the two halves.
    low, high : float
        The middle 95 % of it over the halvings.
    spread : float
        Its standard deviation over the halvings, which is about the standard error of an estimate from all items.
    silhouette : float
        Mean silhouette of the partition of all items (Rousseeuw 1987), in [-1, 1].
    """

    experts: int
    stability: float
    low: float
    high: float
    spread: float
    silhouette: float

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Clustering:
    """What was found.

    Attributes
    ----------
    chosen : int
    labels : tuple of int
        Cluster of each domain, numbered in the order of the domains.
    rows : tuple of Stability
        By number of experts.
    p : float or None
        P-value of the best stability where there is no structure; None where there was nothing to choose.
    reason : str
    """

    chosen: int
    labels: tuple[int, ...]
    rows: tuple[Stability, ...]
    p: float | None
    reason: str


def partitions(similarity: Array, sizes: Sequence[int]) -> Labels:
    """[sizes, D] clusters of average linkage on 1 - similarity, for each number; numbered in the order of domains.

    Parameters
    ----------
    similarity : [D, D]
    sizes : sequence of int
        From 1 to D.
    """
    distance = 1 - (similarity + similarity.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(np.clip(distance, 0, None), checks=False), "average")
    return np.stack([_numbered(column) for column in cut_tree(tree, list(sizes)).T])


def _numbered(labels: NDArray[Any]) -> Labels:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse].astype(np.int64)


def rand_index(one: Labels, other: Labels) -> Array:
    """[...] adjusted Rand index of partitions [..., D] (Hubert and Arabie 1985, eq. 5); 1 where both say the same.

    For many partitions at once; of one pair it is scikit-learn's ``adjusted_rand_score``.
    """
    above = np.triu_indices(one.shape[-1], 1)
    same, also = (labels[..., above[0]] == labels[..., above[1]] for labels in (one, other))
    both, first, second = (same & also).sum(-1), same.sum(-1), also.sum(-1)
    expected, most = first * second / max(1, len(above[0])), (first + second) / 2
    apart = most != expected
    return np.where(apart, (both - expected) / np.where(apart, most - expected, 1), 1.0)


def halved(evidence: Evidence, sizes: Sequence[int], draws: int, seed: int) -> Array:
    """[draws, sizes] adjusted Rand index between the partitions of random halves of the items."""
    pairs = zip(*evidence.halves(draws, seed), strict=True)
    return np.stack([rand_index(partitions(one, sizes), partitions(other, sizes)) for one, other in pairs])


def cluster(
    evidence: Evidence, *, experts: int | None = None, draws: int = DRAWS, shuffles: int = SHUFFLES, seed: int = 0
) -> Clustering:
    """Choose a number of experts, and which domains each has.

    The number is the one whose stability is best at the lower end of one standard error (:attr:`Stability.spread`), and
    of equal ones the largest: more experts are more special, as long as the items bear the division out. The lower end
    is taken as the index of fine partitions hangs on one or two pairs and is all or nothing. Numbers from 3 to 10 and
    below that of the domains are asked about: one expert for each domain is the same partition whatever the items say.
    If the best stability is not surely above that of evidence without structure (p > .05), the number is the smallest
    one, and the reason says so.

    Parameters
    ----------
    evidence : Evidence
        Of 3 domains at least.
    experts : int, optional
        The number, which is then not chosen.
    draws, shuffles : int
        Random halves, and reference evidences.
    seed : int

    Raises
    ------
    ValueError
        If there are fewer than 3 domains, or ``experts`` is not between 3 and the number of domains, at most 10.
    """
    many = len(evidence.domains)
    if many < FEWEST or (experts is not None and not FEWEST <= experts <= min(MOST, many)):
        raise ValueError(
            f"{experts or FEWEST} experts for {many} domains: {FEWEST} to {MOST}, and no more than domains"
        )
    sizes = list(range(FEWEST, min(MOST, many - 1) + 1))
    similarity = evidence.similarity()
    if not sizes:
        return Clustering(many, tuple(range(many)), (), None, f"There are only {many} domains: one expert for each.")
    agreed = halved(evidence, sizes, draws, derive_seed(seed, "halves"))
    whole = partitions(similarity, sizes)
    rows = tuple(_row(size, agreed[:, at], similarity, whole[at]) for at, size in enumerate(sizes))
    p = _chance(evidence, sizes, float(agreed.mean(0).max()), draws, shuffles, seed)
    chosen, reason = _choose(rows, p)
    if experts is not None:
        chosen, reason = experts, f"{experts} experts were asked for. Measured: {reason}"
    return Clustering(chosen, tuple(partitions(similarity, [chosen])[0].tolist()), rows, p, reason)


def _choose(rows: Sequence[Stability], p: float) -> tuple[int, str]:
    if p > SURE:
        best = max(rows, key=lambda row: (row.stability, row.experts))
        return FEWEST, (
            f"no structure found: the best agreement between halves of the items, {best.stability:.2f} for "
            f"{best.experts} experts, is no larger than chance gives (p = {p:.3f}); the smallest number is taken."
        )
    chosen = max(rows, key=lambda row: (round(row.stability - row.spread, 9), row.experts))
    return chosen.experts, (
        f"{chosen.experts} experts: halves of the items agree on this division best ({chosen.stability:.2f}, less one "
        f"standard error of {chosen.spread:.2f}), and on no larger number as well; p = {p:.3f} for no structure."
    )


def _row(size: int, agreed: Array, similarity: Array, labels: Labels) -> Stability:
    low, high = np.quantile(agreed, [0.025, 0.975])
    return Stability(
        size, float(agreed.mean()), float(low), float(high), float(agreed.std(ddof=1)), _silhouette(similarity, labels)
    )


def _silhouette(similarity: Array, labels: Labels) -> float:
    from sklearn.metrics import silhouette_score

    distance = 1 - similarity
    np.fill_diagonal(distance, 0)
    return float(silhouette_score(distance, labels, metric="precomputed"))


def _chance(evidence: Evidence, sizes: Sequence[int], best: float, draws: int, shuffles: int, seed: int) -> float:
    """P-value of the best stability among references without structure."""
    references = [
        float(halved(evidence.shuffled(derive_seed(seed, "reference", turn)), sizes, draws, seed).mean(0).max())
        for turn in range(shuffles)
    ]
    return (1 + sum(reference >= best - 1e-9 for reference in references)) / (1 + shuffles)


def grouped(labels: Sequence[int], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Names of each cluster, clusters in the order of their first names."""
    found: dict[int, list[str]] = {}
    for label, name in zip(labels, names, strict=True):
        found.setdefault(label, []).append(name)
    return [tuple(members) for members in found.values()]


def labels_of(groups: Sequence[Sequence[str]], names: Sequence[str]) -> Labels:
    """[D] cluster of each name; the inverse of :func:`grouped`."""
    place: Mapping[str, int] = {name: at for at, group in enumerate(groups) for name in group}
    return np.array([place[name] for name in names])

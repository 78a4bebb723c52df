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

from foundation.seeding import derive_seed
from llm_experts.discovery.planning.evidence import Array, Evidence

FEWEST, MOST = 3, 10
"""Experts of a plan (spec 004)."""
DRAWS = 50
"""Random halves."""
SHUFFLES = 39
"""Reference evidences without structure: the smallest p-value is 1 / 40."""
SURE = 0.05
ALIKE = 0.05
"""Stabilities that differ by less are taken as equal."""
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
    """[..., sizes, D] clusters of average linkage on 1 - similarity [..., D, D], numbered in the order of domains.

    For many matrices at once; of one it is SciPy's ``linkage(..., "average")``, cut at each number.

    Parameters
    ----------
    similarity : [..., D, D]
    sizes : sequence of int
        From 1 to D.
    """
    many = similarity.shape[-1]
    distance = 1 - (similarity + similarity.swapaxes(-1, -2)).reshape(-1, many, many) / 2
    distance[:, range(many), range(many)] = np.inf
    labels = np.tile(np.arange(many), (len(distance), 1))
    found = {many: labels.copy()}
    for clusters in range(many - 1, min(sizes) - 1, -1):
        _merge(distance, labels)
        found[clusters] = labels.copy()
    numbered = np.stack([_numbered(found[size]) for size in sizes], 1)
    return numbered.reshape(*similarity.shape[:-2], len(sizes), many)


def _merge(distance: Array, labels: Labels) -> None:
    """Unite the two nearest clusters of each matrix [s, D, D], in place; a cluster is known by its first domain."""
    rows, many = np.arange(len(distance)), distance.shape[-1]
    first, second = np.sort(np.stack(np.divmod(distance.reshape(len(distance), -1).argmin(1), many)), 0)
    sizes = [(labels == one[:, None]).sum(1)[:, None] for one in (first, second)]
    mean = (sizes[0] * distance[rows, first] + sizes[1] * distance[rows, second]) / (sizes[0] + sizes[1])
    mean[rows, first] = np.inf
    distance[rows, first], distance[rows, :, first] = mean, mean
    distance[rows, second], distance[rows, :, second] = np.inf, np.inf
    np.copyto(labels, first[:, None], where=labels == second[:, None])


def _numbered(labels: Labels) -> Labels:
    """[s, D] first domains of clusters as numbers from 0."""
    leads = labels == np.arange(labels.shape[-1])
    return np.take_along_axis(leads.cumsum(-1) - 1, labels, -1)


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
    one, other = evidence.halves(draws, seed)
    return rand_index(partitions(one, sizes), partitions(other, sizes))


def cluster(
    evidence: Evidence, *, experts: int | None = None, draws: int = DRAWS, shuffles: int = SHUFFLES, seed: int = 0
) -> Clustering:
    """Choose a number of experts, and which domains each has.

    Numbers from 3 to 10 and below that of the domains are asked about: one expert for each domain is the same partition
    whatever the items say. A number's stability counts less one standard error (:attr:`Stability.spread`), as that of
    fine partitions hangs on one or two pairs and is all or nothing. Of the numbers that are within .05 of the best by
    it, the one with the largest silhouette is taken: a group that can be divided into stable parts, but into parts that
    are hardly apart, stays whole. If the best stability is not surely above that of evidence without structure
    (p > .05), or no number's 95 % interval is above 0, the number is the smallest one, and the reason says so.

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
    sound = [row for row in rows if row.low > 0]
    if p > SURE or not sound:
        best = max(rows, key=lambda row: (row.stability, row.experts))
        return FEWEST, (
            f"no structure found: the best agreement between halves of the items, {best.stability:.2f} "
            f"({best.low:.2f} to {best.high:.2f}) for {best.experts} experts, is not surely more than chance gives "
            f"(p = {p:.3f}); the smallest number is taken."
        )
    bound = max(row.stability - row.spread for row in sound) - ALIKE
    chosen = max((row for row in sound if row.stability - row.spread >= bound), key=lambda row: row.silhouette)
    return chosen.experts, (
        f"{chosen.experts} experts: halves of the items agree on this division ({chosen.stability:.2f}, "
        f"{chosen.low:.2f} to {chosen.high:.2f}) as well as on any, and of those as stable its groups are furthest "
        f"apart (silhouette {chosen.silhouette:.2f}); p = {p:.3f} for no structure."
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

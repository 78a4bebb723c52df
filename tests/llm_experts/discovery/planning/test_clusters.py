"""Numbers of experts on planted structures, and partitions against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from foundation.seeding import numpy_generator
from llm_experts.discovery.planning.clusters import cluster, grouped, labels_of, partitions, rand_index
from llm_experts.discovery.planning.evidence import Evidence

NAMES = [f"d{i}" for i in range(10)]


def planted(groups: int, *, noise: float = 1.0, own: float = 0.3, seed: int = 0, domains: int = 10) -> Evidence:
    """Domains in groups: the vectors of a group's blocks share a direction, each domain has something of its own."""
    draw = numpy_generator(seed, "planted", groups)
    centres = draw.normal(size=(groups, 400))
    mine = centres[np.arange(domains) * groups // domains] + own * draw.normal(size=(domains, 400))
    blocks = mine[:, None] + noise * draw.normal(size=(domains, 20, 400))
    return Evidence.of("gradients", NAMES[:domains], blocks)


@pytest.mark.parametrize("groups", [3, 5, 7])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_groups_are_found(groups: int, seed: int) -> None:
    found = cluster(planted(groups, seed=seed), seed=1)
    assert found.chosen == groups and found.labels == tuple(i * groups // 10 for i in range(10))
    row = next(row for row in found.rows if row.experts == groups)
    assert row.stability == 1 and row.spread == 0 and found.p == 1 / 40


@pytest.mark.parametrize("what", ["all alike", "all different"])
def test_without_structure_the_smallest_number_is_taken_and_said(what: str) -> None:
    alike = planted(1, own=0.0, noise=3.0)
    draw = numpy_generator(3, "different")
    different = Evidence.of("gradients", NAMES, draw.normal(size=(10, 1, 400)) + 3 * draw.normal(size=(10, 20, 400)))
    found = cluster(alike if what == "all alike" else different, seed=1)
    assert found.chosen == 3 and found.reason.startswith("no structure found")
    assert max(row.stability for row in found.rows) < 0.3
    if what == "all alike":
        assert found.p is not None and found.p > 0.05


def test_a_number_that_is_asked_for_is_taken_and_what_was_measured_is_said() -> None:
    found = cluster(planted(5), experts=4, shuffles=19)
    assert found.chosen == 4 and len(set(found.labels)) == 4
    assert found.reason.startswith("4 experts were asked for. Measured: 5 experts")
    assert len(set(cluster(planted(5), experts=10, shuffles=19).labels)) == 10


@pytest.mark.parametrize(("experts", "domains"), [(2, 10), (11, 10), (5, 4), (None, 2)])
def test_numbers_that_cannot_be_are_refused(experts: int | None, domains: int) -> None:
    with pytest.raises(ValueError, match="experts for"):
        cluster(planted(1, domains=domains), experts=experts)


def test_three_domains_have_an_expert_each() -> None:
    found = cluster(planted(1, domains=3))
    assert (found.chosen, found.labels, found.rows, found.p) == (3, (0, 1, 2), (), None)


def test_the_same_evidence_and_seed_give_the_same_answer() -> None:
    assert cluster(planted(5), seed=4, shuffles=19) == cluster(planted(5), seed=4, shuffles=19)


def test_partitions_are_those_of_scipy() -> None:
    draw = numpy_generator(0, "scipy")
    cosines = np.corrcoef(draw.normal(size=(6, 9, 5)).reshape(-1, 5)).clip(-1, 1)[:9, :9]
    sizes = [2, 3, 5, 8, 9]
    distance = 1 - cosines
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    both = partitions(np.stack([cosines, cosines.copy()]), sizes)
    assert both.shape == (2, 5, 9) and (both[0] == both[1]).all()
    for size, labels in zip(sizes, both[0], strict=True):
        assert adjusted_rand_score(fcluster(tree, size, "maxclust"), labels) == 1
        assert len(set(labels.tolist())) == size and labels[0] == 0


def test_the_rand_index_is_scikit_learns() -> None:
    draw = numpy_generator(0, "rand")
    one, other = draw.integers(4, size=(30, 10)), draw.integers(3, size=(30, 10))
    wanted = [adjusted_rand_score(a, b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rand_index(one, other), wanted, atol=1e-12)
    assert rand_index(np.arange(5), np.arange(5)) == 1 and rand_index(np.zeros(5, int), np.zeros(5, int)) == 1


def test_groups_and_labels_are_inverse() -> None:
    groups = grouped([0, 1, 0, 2], ["a", "b", "c", "d"])
    assert groups == [("a", "c"), ("b",), ("d",)]
    assert labels_of(groups, ["a", "b", "c", "d"]).tolist() == [0, 1, 0, 2]

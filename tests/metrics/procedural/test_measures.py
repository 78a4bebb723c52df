from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.evidence import Evidence
from metrics.procedural import procedural_draws, procedural_points
from metrics.registry import CFA_METRICS, METRICS
from metrics.resample import Resampled, row_weights, shuffled_groups

GAPS = ("ref@1", "vef@1", "vef_acc@1", "att_jsd@1", "signed_att@1")


@dataclasses.dataclass(frozen=True)
class Case:
    evidence: Evidence
    labels: Tensor
    groups: Tensor
    n_groups: int


def make_case(n: int = 300, n_groups: int = 2, seed: int = 0) -> Case:
    """A model that knows nothing of the groups."""
    generator = torch.Generator().manual_seed(seed)
    attributions = torch.randn(n, 6, generator=generator)
    margin = attributions.sum(1)
    top = attributions.gather(1, attributions.abs().argmax(1, keepdim=True))[:, 0]
    groups = torch.randint(0, n_groups, (n,), generator=generator)
    labels = (margin + torch.randn(n, generator=generator) > 0).long()
    probability = torch.sigmoid(margin)
    evidence = Evidence(
        probability,
        attributions,
        torch.sigmoid(margin - top),
        probability[:, None].repeat(1, n_groups),
        torch.randn(n, 3, generator=generator),
        (0,),
    )
    return Case(evidence, labels, groups, n_groups)


def draws_of(
    case: Case, evidence: Evidence | None = None, *, draws: int = 40, cfa: bool = False
) -> dict[str, Resampled]:
    generator = np.random.default_rng(0)
    n = len(case.groups)
    weights = row_weights(n, draws, generator)
    shuffled = shuffled_groups(case.groups, case.n_groups, draws, generator)
    chosen = evidence or case.evidence
    return procedural_draws(chosen, case.labels, case.groups, case.n_groups, weights, shuffled, seed=1, cfa=cfa)


def points_of(case: Case, rows: Tensor | None = None) -> dict[str, Tensor]:
    rows = torch.arange(len(case.groups)) if rows is None else rows
    e = case.evidence
    assert e.masked is not None and e.attributions is not None
    return procedural_points(
        e.probability[rows][None], e.masked[rows][None], e.attributions[rows][None],
        case.groups[rows], case.n_groups, case.labels[rows],
    )  # fmt: skip


def test_every_procedural_metric_of_the_registry_is_there() -> None:
    every = {id for id, metric in METRICS.items() if metric.kind == "procedural"}
    assert set(draws_of(make_case())) == every - set(CFA_METRICS)
    assert set(draws_of(make_case(), cfa=True)) == every


@pytest.mark.parametrize("n_groups", [2, 4])
def test_estimates_are_the_point_values(n_groups: int) -> None:
    case = make_case(n_groups=n_groups)
    points, full = points_of(case), draws_of(case)
    for name in GAPS:
        assert full[name].estimate == pytest.approx(float(points[name]), abs=1e-6)
    composite = sum(float(points[name]) for name in ("ref@1", "vef@1", "att_jsd@1")) / 3
    assert float(points["fair_proc@1"]) == pytest.approx(composite)


def test_all_models_at_once_equal_one_at_a_time() -> None:
    cases = [make_case(seed=seed) for seed in range(3)]
    parts = [(c.evidence.probability, c.evidence.masked, c.evidence.attributions) for c in cases]
    groups, labels = cases[0].groups, cases[0].labels
    together = procedural_points(*(torch.stack(p) for p in zip(*parts, strict=True)), groups, 2, labels)  # type: ignore[arg-type]
    for k, (p, m, a) in enumerate(parts):
        assert m is not None and a is not None
        alone = procedural_points(p[None], m[None], a[None], groups, 2, labels)
        for name, values in together.items():
            assert float(values[k]) == pytest.approx(float(alone[name]), abs=1e-7)


def test_order_of_rows_does_not_matter() -> None:
    case = make_case()
    order = torch.randperm(300, generator=torch.Generator().manual_seed(9))
    before, after = points_of(case), points_of(case, order)
    for name in before:
        assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-6)


def test_two_copies_of_the_same_rows_have_no_gap() -> None:
    case = make_case(n=60)
    e = case.evidence
    assert e.attributions is not None and e.masked is not None
    evidence = Evidence(*(torch.cat((part, part)) for part in (e.probability, e.attributions, e.masked)))
    both = Case(evidence, torch.cat((case.labels, case.labels)), torch.arange(120) // 60, 2)
    for name, value in points_of(both).items():
        assert float(value) == pytest.approx(0.0, abs=1e-7), name


def test_model_of_the_sensitive_column_alone() -> None:
    """ATT_JSD does not see it; the signed gap, the flip rate and the sensitive share do."""
    groups = torch.arange(200) % 2
    attributions = torch.zeros(200, 3, dtype=torch.float64)
    attributions[:, 1] = 2.0 * groups - 1
    probability = torch.sigmoid(attributions.sum(1))
    moved = torch.sigmoid(torch.tensor([-1.0, 1.0], dtype=torch.float64)).repeat(200, 1)
    evidence = Evidence(probability, attributions, torch.full((200,), 0.5), moved, None, (1,))
    values = draws_of(Case(evidence, groups, groups, 2))
    assert values["att_jsd@1"].estimate < 1e-9
    assert values["signed_att@1"].estimate == 1.0
    assert values["cfr@1"].estimate == 1.0
    assert values["cfr_soft@1"].estimate == pytest.approx(float(torch.sigmoid(torch.tensor(1.0)) * 2 - 1))
    assert values["sens_share@1"].estimate == 1.0


def test_null_of_a_fair_model_covers_the_value() -> None:
    inside = dict.fromkeys(GAPS, 0)
    for seed in range(20):
        values = draws_of(make_case(seed=seed), draws=100)
        for name in GAPS:
            null = values[name].null
            assert null is not None
            inside[name] += values[name].estimate <= float(null.quantile(0.95))
    assert min(inside.values()) >= 16  # expected 19 of 20; fewer than 16 has probability 0.3 %


def test_draws_scatter_around_the_estimate() -> None:
    for name, value in draws_of(make_case(n=2000), draws=200).items():
        if value.draws is not None:
            low, high = float(value.draws.min()), float(value.draws.max())
            assert low <= value.estimate <= high or name in ("cfr@1", "cfr_soft@1"), name


@pytest.mark.parametrize(
    ("missing", "names", "word"),
    [
        ("masked", ("ref@1", "vef@1", "vef_acc@1"), "no masked probabilities"),
        ("attributions", ("att_jsd@1", "signed_att@1", "sens_share@1", "gpf_fae@1"), "no attributions"),
        ("counterfactual", ("cfr@1", "cfr_soft@1"), "not among the features"),
        ("features", ("gpf_fae@1",), "no features"),
    ],
)
def test_missing_parts_are_named(missing: str, names: tuple[str, ...], word: str) -> None:
    case = make_case()
    values = draws_of(case, dataclasses.replace(case.evidence, **{missing: None}))
    for name, value in values.items():
        assert (value.status == "not_estimable") == (name in names), name
        assert word in value.reason if name in names else True


def test_not_finite_parts_are_named() -> None:
    case = make_case()
    assert case.evidence.masked is not None
    masked = case.evidence.masked.clone()
    masked[3] = torch.nan
    value = draws_of(case, dataclasses.replace(case.evidence, masked=masked))["ref@1"]
    assert (value.status, value.reason) == ("not_estimable", "1 of 300 masked probabilities are not finite")


def test_small_groups() -> None:
    case = make_case(n=60)
    groups = torch.zeros(60, dtype=torch.int64)
    groups[:4] = 1
    values = draws_of(dataclasses.replace(case, groups=groups))
    assert values["ref@1"].reason == "needs two groups with at least 5 rows; the groups have 56, 4"
    groups[4:20] = 2
    evidence = dataclasses.replace(case.evidence, counterfactual=None)
    values = draws_of(dataclasses.replace(case, groups=groups, n_groups=3, evidence=evidence))
    assert values["vef@1"].status == "ok"
    assert values["vef@1"].reason == "left out (fewer than 5 rows): group 1"


def test_constant_model_has_no_gap_and_says_why() -> None:
    case = make_case()
    half = torch.full((300,), 0.5)
    values = draws_of(
        case, dataclasses.replace(case.evidence, probability=half, masked=half, attributions=torch.zeros(300, 6))
    )
    assert [values[name].estimate for name in ("ref@1", "vef@1", "att_jsd@1", "signed_att@1")] == pytest.approx([0] * 4)
    assert values["att_jsd@1"].status == "degenerate"


def test_diverged_model_is_never_fair() -> None:
    case = make_case()
    e = case.evidence
    assert e.masked is not None and e.attributions is not None
    probability, masked = torch.stack((e.probability, e.probability)), torch.stack((e.masked, e.masked))
    attributions = torch.stack((e.attributions, e.attributions))
    probability[0, 7] = torch.nan
    values = procedural_points(probability, masked, attributions, case.groups, 2)
    assert all(bool(v[0].isnan()) and bool(v[1].isfinite()) for v in values.values())


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"expected \[K, n\]"):
        procedural_points(torch.rand(2, 5), torch.rand(2, 4), torch.rand(2, 5, 3), torch.zeros(5, dtype=torch.int64), 2)

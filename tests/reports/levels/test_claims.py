"""What is claimed of the mixture: known differences, kinds of thresholds that meet, sources, equal transfer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports.levels.ablation import ablation
from reports.levels.claims import DELIVERED, EQUAL, claims
from reports.levels.levels import levels
from reports.levels.transfer import transfer
from reports.method import Method
from reports.methods import MethodRow
from reports.render.claim_words import claim_cells
from reports.stats.statistics import corrected_interval
from tests.reports.levels.level_fixtures import level_rows, scenario

TASKS = ("german", "adult:sex", "scm", "credit")
MIXTURE = MethodRow(
    "mixture", "Mixture", kind="gate", compared=tuple(("baselines", m) for m in ("trees", "bag", "optimizer")),
    levels=(("mixture", "oof"), ("mixture", "decision")),
    ablation=((2, "oof", "+ out of fold"), (3, "decision", "+ decision layer")),
)  # fmt: skip
ROWS = (
    MIXTURE,
    MethodRow("roles", "Roles", kind="gate", levels=(("mixture", "plain"),), ablation=((1, "thresholds", "Roles"),)),
    MethodRow("trees", "Trees", levels=(("rival", "thresholds"),)),
    MethodRow("bag", "Bag", levels=(("rival", "oof"),)),
    MethodRow("optimizer", "Optimizer", sensitive_at_prediction=True),
    MethodRow("other", "Other"),
)
METHODS = tuple(Method(row, i, "baseline", row.id) for i, row in enumerate(ROWS, start=1))
VARIANTS = ("plain", "thresholds", "oof", "oof80", "oof60", "decision")


@pytest.fixture(scope="module")
def scenarios():
    """Four tasks; two of them of one source."""
    return [scenario(t, METHODS, source="shared" if t in ("german", "credit") else t) for t in TASKS]


def table(utility, gap=lambda method, variant, split: 0.0, gaps=("fair_res@1",), bounds=("any", "0.05")):
    """Rows of every method in every variant; ``utility``: (method, variant, place of the task) → value."""
    limits = {"any": np.inf, "0.05": 0.05}
    return pd.DataFrame(
        [
            row
            for bounded in gaps
            for level in bounds
            for t, task in enumerate(TASKS)
            for split in range(5)
            for m in METHODS
            for v in VARIANTS
            for row in level_rows(
                task, m.id, split, v, level, utility(m.id, v, t) + 0.001 * split * (m.id == "trees"),
                gap(m.id, v, split), limit=limits[level], bounded=bounded,
            )
        ]
    )  # fmt: skip


LEAD = {("mixture", "decision"): 0.03, ("mixture", "oof"): 0.02, ("bag", "oof"): 0.01, ("roles", "thresholds"): -0.04}


def utility(method, variant, task):
    """Known leads, and a wobble of tasks that depends on the method."""
    lead = LEAD.get((method, variant), 0.0)
    return 0.7 + lead + (0.0005 * (-1) ** task if method == "mixture" else 0.0) - 0.05 * (method == "bag" and task == 2)


def found_of(scenarios, rows, gap="fair_res@1"):
    found = levels(rows, METHODS, scenarios, gap)
    return found, transfer(found)


def by_rival(made, kind=DELIVERED, level="any"):
    return {c.rival.method.id: c for c in made if c.kind == kind and c.level == level}


def test_the_same_kind_of_thresholds_meet_and_others_meet_the_decision_layer(scenarios):
    made = by_rival(claims(*found_of(scenarios, table(utility))))
    assert {name: (c.own.variant, c.rival.variant) for name, c in made.items()} == {
        "trees": ("decision", "thresholds"), "bag": ("oof", "oof"), "optimizer": ("decision", "plain"),
    }  # fmt: skip
    assert made["optimizer"].rival.label == "Optimizer" and made["bag"].rival.label == "Bag + OOF thresholds (G)"


def test_the_difference_is_that_of_task_means_and_tasks_are_counted(scenarios):
    made = by_rival(claims(*found_of(scenarios, table(utility))))
    trees, bag = made["trees"], made["bag"]
    # trees gain .002 by their splits; the mixture's wobble of ±.0005 cancels over four tasks
    assert trees.pooled.interval.mean == pytest.approx(0.03 - 0.002)
    assert (trees.wins, trees.ties, trees.losses) == (4, 0, 0)
    assert bag.pooled.interval.mean == pytest.approx(0.01 + 0.05 / 4) and bag.wins == 4
    assert bag.by_source == pytest.approx({"shared": 0.01, "adult:sex": 0.0095, "scm": 0.0605})
    assert set(trees.by_source) == {"shared", "adult:sex", "scm"}
    assert trees.pooled.interval.freedom < 2.01  # three sources of four tasks


def test_a_tie_is_a_tenth_of_a_point(scenarios):
    made = by_rival(claims(*found_of(scenarios, table(lambda m, v, t: 0.7 + 0.0009 * (m == "mixture")))))
    assert (made["bag"].wins, made["bag"].ties, made["bag"].losses) == (0, 4, 0)


def test_equal_transfer_takes_the_first_margin_that_keeps_the_level(scenarios):
    kept = {("mixture", "decision"): 2, ("mixture", "oof80"): 4, ("trees", "thresholds"): 3, ("trees", "oof60"): 5}

    def gap(method, variant, split):
        return 0.01 if split < kept.get((method, variant), 0) else 0.2

    found = found_of(scenarios, table(utility, gap))
    made = by_rival(claims(*found), EQUAL, "0.05")
    assert (made["trees"].own.variant, made["trees"].rival.variant) == ("oof80", "oof60")
    assert (made["trees"].own_kept.share, made["trees"].rival_kept.share) == (0.8, 1.0)
    assert not by_rival(claims(*found), EQUAL, "any")
    as_it_is = by_rival(claims(*found), DELIVERED, "0.05")["trees"]
    assert (as_it_is.own_kept.share, as_it_is.rival_kept.share) == (0.4, 0.6)
    assert by_rival(claims(*found))["trees"].own_kept is None  # any gap is kept by everybody


def test_of_equally_safe_sides_the_decision_layer_comes_first_and_imputed_splits_are_told(scenarios):
    rows = table(utility, lambda method, variant, split: 0.01)
    nothing = (rows["method"] == "trees") & (rows["split"] < 2) & (rows["level"] == "0.05")
    rows.loc[nothing, "status"] = "imputed"
    made = claims(*found_of(scenarios, rows))
    assert by_rival(made, EQUAL, "0.05")["trees"].own.variant == "decision"
    trees = by_rival(made, DELIVERED, "0.05")["trees"]
    assert (trees.own_imputed, trees.rival_imputed, trees.rival_kept.cells) == (0, 8, 12)
    assert claim_cells(trees)[5] == "100 %, imputed 8"


def test_another_gap_has_rows_of_its_own(scenarios):
    rows = pd.concat([table(utility), table(lambda m, v, t: 0.6, gaps=("dp@1",), bounds=("0.05",))])
    main, dp = (claims(*found_of(scenarios, rows, gap)) for gap in ("fair_res@1", "dp@1"))
    assert {c.level for c in main} == {"any", "0.05"} and {c.level for c in dp} == {"0.05"}
    assert all(abs(c.pooled.interval.mean) < 0.0021 for c in dp)


def test_steps_add_up_to_the_whole_way(scenarios):
    found, _ = found_of(scenarios, table(utility))
    steps = ablation(found)
    assert [s.label for s in steps.steps] == ["Roles", "+ out of fold", "+ decision layer"]
    added = [steps.added[place, "any"].interval.mean for place in (1, 2)]
    assert added == pytest.approx([0.06, 0.01]) and steps.whole["any"].interval.mean == pytest.approx(sum(added))


def test_two_steps_are_an_ablation_and_one_is_none(scenarios):
    rows = table(utility)
    rows = rows[rows["method"] != "roles"]
    two = ablation(levels(rows, [m for m in METHODS if m.id != "roles"], scenarios, "fair_res@1"))
    assert [s.label for s in two.steps] == ["+ out of fold", "+ decision layer"]
    assert two.added[1, "any"].interval.mean == pytest.approx(0.01) == two.whole["any"].interval.mean
    alone = replace(MIXTURE, ablation=MIXTURE.ablation[:1])
    methods = [replace(m, row=alone) if m.id == "mixture" else m for m in METHODS if m.id != "roles"]
    assert ablation(levels(rows, methods, scenarios, "fair_res@1")) is None


def test_a_step_adds_something_where_both_ends_of_it_are(scenarios):
    rows = table(utility)
    kept = rows[~((rows["method"] == "roles") & (rows["level"] == "0.05"))]
    found = ablation(levels(kept, METHODS, scenarios, "fair_res@1"))
    assert set(found.added) == {(1, "any"), (2, "any"), (2, "0.05")} and set(found.whole) == {"any"}


def test_one_source_has_the_interval_of_its_splits():
    found, moved = found_of([scenario("german", METHODS)], table(utility))
    trees = by_rival(claims(found, moved))["trees"].pooled
    theirs = corrected_interval(0.03 + 0.0005 - 0.001 * np.arange(5))
    assert (trees.interval.mean, trees.interval.half) == pytest.approx((theirs.mean, theirs.half))
    assert trees.interval.freedom == 4


def small(cells, methods=METHODS, level="0.05"):
    """Claims on one task of ten splits; ``cells``: contender → (utility, splits that keep the level, imputed ones)."""
    rows = [
        row
        for (name, variant), (value, kept, imputed) in cells.items()
        for split in range(10)
        for row in level_rows("german", name, split, variant, level, value + 0.001 * (split % 3),
                              0.01 if split < kept else 0.2, status="imputed" if split >= 10 - imputed else "ok")
    ]  # fmt: skip
    return claims(*_moved(levels(pd.DataFrame(rows), methods, [scenario("german", methods, splits=10)])))


def _moved(found):
    return found, transfer(found)


@pytest.mark.parametrize("main", [v for v in VARIANTS if not v.startswith("oof") or v == "oof"])
def test_a_mixture_without_a_decision_layer_stands_as_it_is(main):
    """The first that there is of: decision layer, out-of-fold thresholds, thresholds, its own weights."""
    order = ("decision", "oof", "thresholds", "plain")
    row = replace(MIXTURE, levels=(("mixture", "plain"),))
    methods = [replace(m, row=row) if m.id == "mixture" else m for m in METHODS]
    own = {("mixture", v): (0.8, 10, 0) for v in (*order[order.index(main) :], "plain")}
    found = small(own | {("optimizer", "plain"): (0.7, 10, 0), ("other", "plain"): (0.9, 10, 0)}, methods)
    assert [(c.own.variant, c.rival.method.id) for c in found if c.kind == DELIVERED] == [(main, "optimizer")]


def test_margins_meet_the_same_margin_or_the_mixture_as_it_is_delivered():
    """Against out-of-fold thresholds of a rival stands the mixture's own kind; its main one where it has no such."""
    cells = {("mixture", "decision"): (0.8, 10, 0), ("bag", "oof"): (0.7, 10, 0)}
    (alone,) = (c for c in small(cells) if c.kind == DELIVERED)
    (same,) = (c for c in small(cells | {("mixture", "oof"): (0.75, 10, 0)}) if c.kind == DELIVERED)
    assert (alone.own.variant, same.own.variant) == ("decision", "oof")


def test_rivals_are_named_in_the_block_of_baselines():
    row = replace(MIXTURE, compared=(("fairness", "trees"), ("baselines", "optimizer")))
    methods = [replace(m, row=row) if m.id == "mixture" else m for m in METHODS]
    cells = dict.fromkeys((("mixture", "decision"), ("trees", "thresholds"), ("optimizer", "plain")), (0.7, 10, 0))
    assert {c.rival.method.id for c in small(cells, methods)} == {"optimizer"}


def test_without_names_all_rivals_that_read_the_same_are_met():
    row = replace(MIXTURE, compared=())
    graph = Method(MethodRow("graph", "Graph", reads="graph", levels=(("rival", "plain"),)), 9, "baseline", "graph")
    methods = [*(replace(m, row=row) if m.id == "mixture" else m for m in METHODS), graph]
    cells = dict.fromkeys((("mixture", "decision"), ("trees", "thresholds"), ("graph", "plain")), (0.7, 10, 0))
    assert {c.rival.method.id for c in small(cells, methods)} == {"trees"}
    assert small({id: value for id, value in cells.items() if id[0] != "mixture"}, methods) == ()


def test_no_equal_transfer_with_a_side_of_which_nothing_keeps_the_level():
    mixture, trees = ("mixture", "decision"), ("trees", "thresholds")
    kinds = {
        imputed: [c.kind for c in small({mixture: (0.7, 10, imputed[0]), trees: (0.7, 10, imputed[1])})]
        for imputed in ((0, 0), (0, 10), (10, 0), (10, 10))
    }
    assert kinds == {(0, 0): [DELIVERED, EQUAL], (0, 10): [DELIVERED], (10, 0): [DELIVERED], (10, 10): [DELIVERED]}


def test_seven_of_ten_splits_are_enough_and_six_are_not_if_another_keeps_more():
    def chosen(first, second):
        cells = {("mixture", "decision"): (0.7, 10, 0), ("trees", "thresholds"): (0.6, first, 0),
                 ("trees", "oof60"): (0.5, second, 0)}  # fmt: skip
        (claim,) = (c for c in small(cells) if c.kind == EQUAL)
        return claim.rival.variant

    assert [chosen(7, 10), chosen(6, 7), chosen(6, 5)] == ["thresholds", "oof60", "thresholds"]


def test_task_means_are_over_the_splits_that_both_have():
    """Nine splits are without a rival."""
    rows = [row for name, variant, value in (("mixture", "decision", 0.75), ("trees", "thresholds", 0.5))
            for split in range(10 if name == "mixture" else 1)
            for row in level_rows("german", name, split, variant, "any", value, 0.0)]  # fmt: skip
    (claim,) = claims(*_moved(levels(pd.DataFrame(rows), METHODS, [scenario("german", METHODS, splits=10)])))
    assert claim.by_source == {"german": 0.25} and (claim.wins, claim.ties, claim.losses) == (1, 0, 0)
    worse = small({("mixture", "decision"): (0.5, 10, 0), ("trees", "thresholds"): (0.75, 10, 0)}, level="any")
    assert [(c.wins, c.ties, c.losses) for c in worse] == [(0, 0, 1)]


@pytest.mark.parametrize(("lead", "counted"), [(1, (0, 1, 0)), (-1, (0, 1, 0)), (1.5, (1, 0, 0)), (-1.5, (0, 0, 1))])
def test_a_difference_of_exactly_the_largest_tie_ties(monkeypatch, lead, counted):
    monkeypatch.setattr("reports.levels.claims.TIE", 2.0**-10)  # a tenth of a point is no exact number
    values = {("mixture", "decision"): 0.5 + lead * 2**-10, ("trees", "thresholds"): 0.5}
    rows = [row for (name, variant), value in values.items() for split in range(10)
            for row in level_rows("german", name, split, variant, "any", value)]  # fmt: skip
    (claim,) = claims(*_moved(levels(pd.DataFrame(rows), METHODS, [scenario("german", METHODS, splits=10)])))
    assert (claim.wins, claim.ties, claim.losses) == counted


def test_a_task_without_a_pair_counts_nowhere():
    rows = [row for task, pair in (("german", True), ("scm", False)) for split in range(3)
            for name, variant in (("mixture", "decision"), ("trees", "thresholds"))[: 1 + pair]
            for row in level_rows(task, name, split, variant, "any", 0.7 + 0.1 * (name == "mixture"))]  # fmt: skip
    (claim,) = claims(
        *_moved(levels(pd.DataFrame(rows), METHODS, [scenario(t, METHODS, 3) for t in ("german", "scm")]))
    )
    assert claim.pooled.tasks == 1 and (claim.wins, claim.ties, claim.losses) == (1, 0, 0)
    assert claim.by_source == pytest.approx({"german": 0.1})

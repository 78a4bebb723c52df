import math

import pytest
import torch

from llm_experts.search import Constraint, Objective, SearchError, SearchRows, SearchSettings
from llm_experts.search.box import Box, box_of
from llm_experts.search.measures import Outputs, constraint_names, measure
from metrics.evidence import Evidence
from metrics.score import score
from tests.llm_experts.search.planted import Movable, Planted

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: Objective("dp"), "unknown metric: There is no metric 'dp'. Did you mean 'dp@1'"),
        (lambda: Objective("ref@1"), "needs explanations of every mixture"),
        (lambda: Constraint("dp@1", "<", 0.1), "write it as a metric, <= or >="),
        (lambda: Constraint("dp@1", "<=", math.nan), "a finite number"),
        (lambda: SearchSettings(objectives=(Objective("dp@1"),)), "two to four different ones"),
        (lambda: SearchSettings(objectives=(Objective("dp@1"), Objective("dp@1"))), "two to four different ones"),
        (lambda: SearchSettings(generations=0), "generations = 0"),
        (lambda: SearchSettings(generations=2, rounds=3), "cannot be split into 3 rounds"),
        (lambda: SearchSettings(margin=-1), "cannot be negative"),
        (
            lambda: SearchSettings(constraints=(Constraint("dp@1", "<=", 0.1), Constraint("dp@1", ">=", 0.2))),
            "No mixture can satisfy dp@1 <= 0.1 and dp@1 >= 0.2",
        ),
        (lambda: SearchSettings(constraints=(Constraint("acc@1", ">=", 1.2),)), "acc@1 lies between 0 and 1"),
    ],
)
def test_contradictions_are_refused_in_words(settings, words):
    with pytest.raises(SearchError, match=words):
        settings()


def test_directions_come_from_the_registry():
    assert [Objective(m).sign for m in ("utility@1", "dp@1", "dp_ratio@1", "latency_ms")] == [-1, 1, -1, 1]
    assert Objective("utility@1", maximise=False).sign == 1
    assert str(Objective("cfr_soft@1")) == "minimise cfr_soft@1"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SearchSettings(bounds={"z": (0, 1)}), "Bounds name z; the mixture's experts are a, b, c"),
        (SearchSettings(bounds={"b": (1, 1)}), "The bounds of b are 1 to 1"),
        (SearchSettings(bounds=(0, math.inf)), "have to be finite"),
        (SearchSettings(bounds=(0.3, 1), base_floor=0.2), "leaves the base less than its floor 0.2"),
    ],
)
def test_impossible_boxes_are_refused(settings, words):
    with pytest.raises(SearchError, match=words):
        box_of(settings, NAMES)


def test_decoding_meets_bounds_floor_and_switch():
    settings = SearchSettings(bounds={"a": (0.0, 2.0), "b": (0.1, 0.5), "c": (0.0, 1.0)}, base_floor=0.25)
    box = box_of(settings, NAMES)
    genes = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = box.decode(genes)
    assert bool(box.holds(weights).all())
    assert float(weights.sum(1).max()) == pytest.approx(0.75)
    assert bool((weights[:, 1] >= 0.1).all())
    torch.testing.assert_close(box.decode(box.encode(weights)), weights)
    assert not bool(box.holds(torch.tensor([[0.5, 0.3, 0.3]], dtype=torch.float64)).any())
    switch = Box(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), off_below=0.05)
    assert switch.decode(torch.tensor([[0.04], [0.05], [1.0]])).flatten().tolist() == pytest.approx([0, 0.05, 1])


def test_narrowed_boxes_stay_inside_and_have_a_width():
    box = box_of(SearchSettings(bounds=(0.0, 2.0)), ("a", "b"))
    narrow = box.narrowed(torch.tensor([0.5, -3.0]).double(), torch.tensor([0.5, 9.0]).double())
    assert narrow.pairs(("a", "b")) == {"a": pytest.approx((0.49, 0.51)), "b": (0.0, 2.0)}


def test_measures_are_the_fixed_metrics():
    model = Movable(bias=1.0)
    settings = SearchSettings(
        calibrate=False,
        objectives=(Objective("utility@1"), Objective("cfr_soft@1"), Objective("brier@1")),
        constraints=(Constraint("dp@1", "<=", 0.1), Constraint("cfr@1", "<=", 0.2), Constraint("acc@1", ">=", 0.5)),
    )
    alphas = torch.rand(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outputs = Outputs(model.margins(alphas), model.moved(alphas))
    found = measure(outputs, model.rows, settings)
    for i in range(3):
        evidence = Evidence(torch.sigmoid(outputs.margins[i]), counterfactual=torch.sigmoid(outputs.moved[i]))
        fixed = score(evidence, model.rows.labels, model.rows.groups, ("a", "b"), seed=0, draws=2, permutations=2)
        for id, values in found.values.items():
            assert float(values[i]) == pytest.approx(fixed.values[id].estimate, abs=1e-9), id
    assert found.losses[:, 0].tolist() == [-v for v in found.values["utility@1"].tolist()]
    expected = torch.stack([found.values["dp@1"] - 0.1, found.values["cfr@1"] - 0.2, 0.5 - found.values["acc@1"]], 1)
    torch.testing.assert_close(found.violations[:, :3], expected)
    assert constraint_names(settings) == ("dp@1 <= 0.1", "cfr@1 <= 0.2", "acc@1 >= 0.5", "not being constant", "finite")


def test_constant_and_broken_mixtures_are_infeasible():
    model = Planted()
    margins = torch.stack([model.margins(torch.zeros(1, 3).double())[0], torch.full((240,), -2.0).double()])
    margins = torch.cat([margins, torch.full((1, 240), math.nan, dtype=torch.float64)])
    found = measure(Outputs(margins), model.rows, SearchSettings(calibrate=False))
    assert found.feasible.tolist() == [True, False, False]
    assert found.violation[2] > found.violation[1] > 0
    assert bool((found.losses[2] > found.losses[:2].amax(0)).all())
    free = measure(Outputs(margins), model.rows, SearchSettings(calibrate=False, refuse_constant=False))
    assert free.feasible.tolist() == [True, True, False]


def test_rows_have_one_group_each():
    with pytest.raises(SearchError, match="one entry per row"):
        SearchRows(torch.zeros(3).long(), torch.zeros(2).long(), ("a", "b"))

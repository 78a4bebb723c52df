import itertools

import pytest
import torch

from metrics.expected_labels import expected_labels
from metrics.points import count_values
from metrics.thresholds import FINE_RATES, FINE_STEPS, fit_thresholds, margins_of
from moe.decision.chooser import expected_table
from moe.decision.linear_post import aware_joint, linear_optimum, program_rates
from tests.moe.decision.planted import best_utility, true_values, world

GAPS = ("dp@1", "eopp@1", "eodds@1", "fair_res@1")


def test_joint_of_a_known_group_lies_in_that_group():
    joint = aware_joint(torch.tensor([0.25, 0.5]), torch.tensor([1, 0]), 3)
    assert joint.tolist() == [[[0, 0], [0.75, 0.25], [0, 0]], [[0.5, 0.5], [0, 0], [0, 0]]]


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("seed", range(3))
def test_no_selection_of_a_few_rows_is_better(gap, seed):
    """By definition: every one of the 2^10 selections that keep the limit gains at most what the program gains."""
    generator = torch.Generator().manual_seed(seed)
    joint = torch.rand(10, 2, 2, generator=generator, dtype=torch.float64)
    joint /= joint.sum((1, 2), keepdim=True)
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=10)), dtype=torch.float64)
    tables = torch.einsum("nay,knp->kayp", joint, torch.stack((1 - every, every), -1)) * 1000  # so that groups count
    gain = every @ (joint[..., 1].sum(1) - 0.4)
    for limit in (0.05, 0.2):
        selected, _ = linear_optimum(joint, gap, limit, 0.4)
        kept = count_values(tables)[gap] <= limit
        assert float(selected @ (joint[..., 1].sum(1) - 0.4)) >= float(gain[kept].max()) - 1e-9
        table = torch.einsum("nay,np->ayp", joint, torch.stack((1 - selected, selected), -1)) * 1000
        assert float(count_values(table)[gap]) <= limit + 1e-7


@pytest.mark.parametrize("gap", GAPS)
def test_the_optimum_is_a_linear_threshold_on_the_joint(gap):
    drawn = world(1500, 3)
    for limit in (0.02, 0.1):
        selected, rule = linear_optimum(drawn.blind, gap, limit, 0.45)
        probability = drawn.blind[..., 1].sum(-1)
        assert int(((rule.apply(probability, drawn.blind) > 0.5) != (selected > 0.5)).sum()) <= 4  # rows on the cut


def test_without_a_limit_that_binds_it_is_the_common_threshold():
    drawn = world(800, 1)
    selected, rule = linear_optimum(drawn.blind, "dp@1", 1.0, 0.3)
    assert torch.equal(selected > 0.5, drawn.blind[..., 1].sum(-1) > 0.3)
    assert rule.multipliers.abs().max() < 1e-9


def test_a_group_threshold_is_the_rule_where_the_group_is_known():
    """Within a group the rule is one cut on the probability."""
    drawn = world(3000, 2)
    selected, _ = linear_optimum(drawn.aware, "dp@1", 0.05)
    for group in (0, 1):
        mine = drawn.groups == group
        chosen = drawn.probability[mine][selected[mine] > 0.5]
        assert float((drawn.probability[mine] >= chosen.min()).sum()) == len(chosen)


@pytest.mark.parametrize("gap", ["dp@1", "eopp@1", "eodds@1"])
@pytest.mark.parametrize("limit", [0.02, 0.05])
def test_thresholds_reach_the_linear_program_for_continuous_scores(gap, limit):
    """Chosen and measured on the same rows with the true probabilities: what is left is the grid."""
    drawn = world(1500, 5)
    p = drawn.probability
    (found,) = fit_thresholds(
        p, drawn.labels, drawn.groups, 2, [limit], gap=gap, expected=p, rates=FINE_RATES, steps=FINE_STEPS
    )
    worth, unequal = true_values(found.apply(p, drawn.groups), drawn.aware, gap)
    assert unequal <= limit + 1e-9
    assert worth >= best_utility(drawn.aware, gap, limit) - 0.1  # points


def test_an_offset_is_added_to_the_rates_before_they_are_compared():
    drawn = world(1500, 4)
    offset = torch.tensor([[0.0, 0.1]], dtype=torch.float64)
    selected, _ = linear_optimum(drawn.blind, "dp@1", 0.0, 0.5, offset)
    (rates,) = program_rates(drawn.blind, "dp@1", selected)
    assert float(rates[0] - rates[1]) == pytest.approx(0.1, abs=1e-6)


def test_what_is_no_linear_gap_is_refused():
    joint = world(50, 0).blind
    for gap in ("dp_ratio@1", "acc_gap@1", "worst_tpr@1", "acc@1", "none"):
        with pytest.raises(ValueError, match="no linear program"):
            linear_optimum(joint, gap, 0.1)


def test_expected_tables_are_count_tables_where_labels_are_certain():
    drawn = world(400, 6)
    selected = drawn.probability > 0.5
    table = expected_table(selected, drawn.labels.double(), drawn.groups, 2)
    for group, label, prediction in itertools.product((0, 1), repeat=3):
        cell = (drawn.groups == group) & (drawn.labels == label) & (selected == bool(prediction))
        assert float(table[group, label, prediction]) == float(cell.sum())
    expected = expected_labels(margins_of(drawn.probability), drawn.labels, drawn.groups, 2)
    assert float(expected_table(selected, expected, drawn.groups, 2).sum()) == pytest.approx(400)

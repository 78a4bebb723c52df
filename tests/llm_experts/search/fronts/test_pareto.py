import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_experts.search.fronts.hypervolume import hypervolume, reference_point, stalled
from llm_experts.search.fronts.pareto import crowding, dominates, front, select


def vectors(draw, objectives):
    rows = draw(
        st.lists(st.lists(st.integers(0, 5), min_size=objectives, max_size=objectives), min_size=1, max_size=12)
    )
    return torch.tensor(rows, dtype=torch.float64)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_volume_is_the_number_of_dominated_unit_cells(data):
    objectives = data.draw(st.integers(2, 4))
    points = vectors(data.draw, objectives)
    cells = itertools.product(range(5), repeat=objectives)
    expected = sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points.tolist()) for cell in cells
    )
    assert hypervolume(points, torch.full((objectives,), 5.0, dtype=torch.float64)) == pytest.approx(expected)


def test_volume_by_hand():
    reference = torch.tensor([1.0, 1.0], dtype=torch.float64)
    points = torch.tensor([[0.2, 0.6], [0.5, 0.1], [0.6, 0.6]], dtype=torch.float64)
    assert hypervolume(points, reference) == pytest.approx(0.8 * 0.4 + 0.5 * 0.9 - 0.5 * 0.4)
    assert hypervolume(torch.tensor([[2.0, 0.0]], dtype=torch.float64), reference) == 0
    assert hypervolume(torch.empty(0, 2, dtype=torch.float64), reference) == 0


def test_reference_lies_a_tenth_beyond_the_worst():
    losses = torch.tensor([[-0.8, 0.1], [-0.6, 0.3]], dtype=torch.float64)
    assert reference_point(losses).tolist() == pytest.approx([-0.58, 0.32])


def test_stops_when_the_gain_is_small():
    assert not stalled([1.0] * 10, 0.005, 10)
    assert stalled([1.0] * 11, 0.005, 10)
    assert stalled([1.0, *[1.004] * 10], 0.005, 10)
    assert not stalled([1.0, *[1.006] * 10], 0.005, 10)
    assert not stalled([0.0] * 30, 0.005, 10)  # nothing feasible yet
    assert not stalled([1.0] * 30, None, 10)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_front_by_brute_force(data):
    losses = vectors(data.draw, 2)
    violation = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(losses), max_size=len(losses))))
    rows = list(zip(losses.tolist(), violation.tolist(), strict=True))

    def beats(a, b):
        if a[1] != b[1]:
            return a[1] < b[1]
        return all(x <= y for x, y in zip(a[0], b[0], strict=True)) and a[0] != b[0]

    assert front(losses, violation.double()).tolist() == [not any(beats(other, row) for other in rows) for row in rows]


def test_feasible_beats_infeasible_whatever_its_losses():
    losses = torch.tensor([[9.0, 9.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    violation = torch.tensor([0.0, 0.2, 0.1], dtype=torch.float64)
    assert dominates(losses, violation).tolist() == [[False, True, True], [False, False, False], [False, True, False]]
    assert select(losses, violation, 3).tolist() == [0, 2, 1]


def test_crowded_members_go_first_and_ends_stay():
    losses = torch.tensor([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0]], dtype=torch.float64)
    assert crowding(losses).tolist() == pytest.approx([torch.inf, 0.55, 1.5, torch.inf])
    assert sorted(select(losses, torch.zeros(4, dtype=torch.float64), 3).tolist()) == [0, 2, 3]

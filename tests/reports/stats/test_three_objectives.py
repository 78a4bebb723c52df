"""Fronts and volumes of three objectives: known boxes, and the volume on a grid."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.stats.three_objectives import hypervolume3, three_objectives, undominated

REFERENCE = (0.6, 0.2, 0.1)
POINT = st.tuples(st.floats(0.5, 1.0), st.floats(0.0, 0.25), st.floats(0.0, 0.12))


def volume(*rows):
    return hypervolume3(np.array(rows, dtype=float), REFERENCE)


def test_known_boxes():
    assert volume((1.0, 0.0, 0.0)) == pytest.approx(1.0)
    assert volume(REFERENCE) == 0.0 and volume((0.5, 0.0, 0.0)) == 0.0
    assert volume((0.8, 0.1, 0.05)) == pytest.approx(0.125)
    # two halves that meet in an eighth: 1/4 + 1/4 − 1/8
    assert volume((1.0, 0.1, 0.05), (0.8, 0.0, 0.05)) == pytest.approx(0.375)
    assert volume((1.0, 0.1, 0.05), (1.0, 0.1, 0.05), (0.7, 0.15, 0.08)) == pytest.approx(0.25)


def test_what_has_no_reference_has_no_volume():
    assert math.isnan(hypervolume3(np.array([[0.9, 0.0, 0.0]]), (0.6, 0.2, 0.001)))
    assert math.isnan(hypervolume3(np.array([[0.9, 0.0, 0.0]]), (0.6, math.nan, 0.1)))
    assert math.isnan(hypervolume3(np.array([[0.9, math.nan, 0.0]]), REFERENCE))


@given(st.lists(POINT, min_size=1, max_size=5), POINT)
@settings(max_examples=25, deadline=None)
def test_it_is_the_volume_on_a_grid_and_never_falls(rows, more):
    side = (np.arange(40) + 0.5) / 40
    u, g, q = np.meshgrid(0.6 + 0.4 * side, 0.2 * (1 - side), 0.1 * (1 - side), indexing="ij")
    covered = np.zeros(u.shape, dtype=bool)
    for utility, gap, reasons in rows:
        covered |= (utility >= u) & (gap <= g) & (reasons <= q)
    assert volume(*rows) == pytest.approx(covered.mean(), abs=0.06)
    assert volume(*rows, more) >= volume(*rows) - 1e-12


def test_undominated():
    points = np.array([[0.9, 0.1, 0.1], [0.8, 0.1, 0.1], [0.8, 0.2, 0.05], [0.9, 0.1, 0.1], [math.nan, 0.0, 0.0]])
    assert undominated(points).tolist() == [True, False, True, True, False]


def test_a_run_has_fronts_by_validation_and_volumes_by_test(report):
    found = three_objectives(report.scenarios, {"all": report.methods})
    by_id = {c.methods[0].id: c for c in found.methods}
    assert by_id["utility"].volume.mean == 0.0 and by_id["constant"].volume.mean == 0.0
    (everything,) = found.sets
    assert everything.fronts == len(found.tasks)
    assert not any("constant" in front for front in found.on_front.values())
    for task in found.tasks:
        front = found.on_front[task]
        assert all(
            everything.by_task[task] >= by_id[m].by_task[task] - 1e-12 for m in front if task in by_id[m].by_task
        )

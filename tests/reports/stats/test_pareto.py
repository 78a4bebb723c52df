import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reports.stats.pareto import front


def test_known_answer():
    utility = np.array([0.9, 0.8, 0.8, 0.7, 0.85, np.nan])
    disparity = np.array([0.3, 0.1, 0.2, 0.1, 0.05, 0.0])
    assert front(utility, disparity).tolist() == [True, False, False, False, True, False]


def test_equal_points_are_all_members():
    assert front(np.array([0.5, 0.5]), np.array([0.1, 0.1])).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_front_is_what_nobody_beats(points):
    utility, disparity = (np.array(axis) for axis in zip(*points, strict=True))
    member = front(utility, disparity)
    assert member.any()
    for i, (u, d) in enumerate(points):
        beaten = any(v >= u and e <= d and (v, e) != (u, d) for v, e in points)
        assert member[i] == (not beaten)

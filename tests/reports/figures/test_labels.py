import itertools

import numpy as np
import pytest

from reports.figures.labels import Box, place_labels

FRAME = Box(250, 177, 404, 314)


@pytest.mark.parametrize("spread", [4, 15, 40])
@pytest.mark.parametrize("seed", range(4))
def test_labels_cover_neither_each_other_nor_marks(spread, seed):
    rng = np.random.default_rng([seed, spread])
    points = [(250 + x, 177 + y) for x, y in rng.normal(0, spread, size=(15, 2)).clip(-190, 140)]
    boxes = place_labels(points, [12.0] * 9 + [18.0] * 6, 13.0, FRAME, 12.0, [i % 3 == 0 for i in range(15)])
    assert all(box.inside(FRAME) for box in boxes)
    assert all(a.overlap(b) == 0 for a, b in itertools.combinations(boxes, 2))
    marks = [Box(x, y, 12, 12) for x, y in points]
    assert all(box.overlap(mark) == 0 for box in boxes for mark in marks)


def test_a_lonely_label_stays_near():
    (box,) = place_labels([(250, 177)], [10.0], 13.0, FRAME, 12.0, [False])
    assert abs(box.x - 250) + abs(box.y - 177) < 25


def test_labels_at_the_edge_stay_inside():
    corners = [(48, 20), (452, 20), (48, 334), (452, 334)]
    assert all(box.inside(FRAME) for box in place_labels(corners, [18.0] * 4, 13.0, FRAME, 12.0, [True] * 4))

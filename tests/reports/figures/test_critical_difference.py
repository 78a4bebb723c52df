import re

import numpy as np

from foundation.seeding import named_generator
from reports.figures.critical_difference import diagram
from reports.stats.rank_tests import rank_tests
from reports.stats.ranking import rank_methods
from reports.stats.resampling import resampling
from tests.reports.conftest import KNOWN, method


def board(count, tasks, spread=0.02):
    own = [method(m, i) for i, m in enumerate(list(KNOWN)[:count], start=1)]
    values = np.random.default_rng(3).normal(0, spread, (tasks * 2, count)) - np.arange(count) * 0.01
    names = [(f"t{t}", s) for t in range(tasks) for s in range(2)]

    def draw(counted):
        sizes = tuple(counted.values())
        return resampling(sizes, named_generator("cd", *map(str, sizes)))

    return rank_methods("utility@1", own, values, [{}] * count, names, draw)


def test_diagram_has_a_line_per_method_and_words():
    ranking = board(8, 14, spread=0.001)
    tests = rank_tests("utility@1", ranking.task_values)
    picture = str(diagram(ranking, tests))
    assert picture.count('class="row"') == 8
    assert 'role="img"' in picture and "Mixture 1.0" in re.search('aria-label="([^"]*)"', picture).group(1)


def test_many_methods_fold_but_named_ones_stay():
    ranking = board(41, 4)
    picture = str(diagram(ranking, rank_tests("utility@1", ranking.task_values)))
    lines = picture.count('class="row"')
    assert 20 <= lines <= 26
    assert f"{41 - lines} methods are in the table only" in picture
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', picture).group(1))
    assert width <= 460  # a phone shows it without shrinking letters below eight pixels


def test_bars_join_what_ties():
    ranking = board(3, 12, spread=0.0001)
    tests = rank_tests("utility@1", ranking.task_values)
    assert tests.groups == ((0, 0), (1, 1), (2, 2)) and "stroke-linecap" not in str(diagram(ranking, tests))
    noisy = board(3, 12, spread=5.0)
    tests = rank_tests("utility@1", noisy.task_values)
    assert tests.groups == ((0, 2),) and str(diagram(noisy, tests)).count("stroke-linecap") == 1

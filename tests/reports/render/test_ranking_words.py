import numpy as np

from reports.render.ranking_words import bars_sentence, friedman_sentence, unranked_words
from reports.stats.rank_tests import rank_tests
from reports.stats.ranking import Unranked
from tests.reports.conftest import method


def test_what_a_method_lacks_is_said_by_status():
    two = Unranked(method("mixture"), {"failed": 1, "absent": 1}, 10)
    assert unranked_words(two) == "not ranked: missing 2 of 10 scenarios (1 failed, 1 absent)"
    one = Unranked(method("mixture"), {"not_estimable": 1}, 10)
    assert unranked_words(one) == "not ranked: missing 1 of 10 scenarios (1 not estimable)"
    assert unranked_words(None) == ""


def test_without_power_it_says_so():
    few = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert "fewer than 6 tasks" in bars_sentence(few)
    # six agreeing tasks: p = 2/64, times 3 pairs
    six = rank_tests("utility@1", np.tile([1.0, 2.0, 3.0], (6, 1)))
    assert "0.09" in bars_sentence(six)
    assert "p = 0.002" in friedman_sentence(six)
    assert "not possible" in friedman_sentence(rank_tests("utility@1", np.ones((1, 3))))

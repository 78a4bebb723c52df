import math
import re

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import named_generator
from reports.build import write_report
from reports.figures.level_lines import drawn
from reports.levels.levels import levels
from reports.render.level_words import gained_sentence, standing_sentences
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.stats.pooled_intervals import pooled_intervals
from reports.stats.statistics import corrected_interval, hierarchical_bootstrap
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.levels.level_fixtures import LEVELS, level_rows, made_levels, made_trials

METHODS = ("mixture", "result", "utility", "constant", "logistic_regression", "gradient_boosting")
TASKS = ("german", "scm", "adult:sex")


@pytest.fixture(scope="module")
def folder(make_run, tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("levels"), tasks=TASKS, methods=METHODS)
    write_csv(frame(made_levels(TASKS, METHODS), FURTHER["levels"], "levels"), folder / "levels.csv")
    write_csv(frame(made_trials(TASKS, ("result", "utility")), FURTHER["trials"], "trials"), folder / "trials.csv")
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return summarise(read_results(folder))


def of(report, rows):
    """Levels of other rows in the same scenarios."""
    return levels(pd.DataFrame(rows), report.methods, report.scenarios)


def test_pooled_intervals_are_those_of_the_bootstrap():
    rng = np.random.default_rng(0)
    tasks = [rng.normal(0.02 * t, 0.01, size=5) for t in range(6)]
    closed = pooled_intervals(np.stack(tasks))
    drawn = hierarchical_bootstrap(tasks, named_generator("x"), draws=40_000)
    assert float(closed["mean"]) == pytest.approx(drawn.mean)
    for end in ("low", "high"):
        assert float(closed[end]) == pytest.approx(getattr(drawn, end), abs=0.03 * drawn.half)
    assert float(closed["p"]) == pytest.approx(drawn.p, rel=0.1) and int(closed["n"]) == 6


def test_one_task_is_the_corrected_interval_and_absent_values_are_left_out():
    values = np.array([[0.1, 0.2, 0.15, np.nan], [np.nan] * 4])
    closed, plain = pooled_intervals(values), corrected_interval([0.1, 0.2, 0.15])
    for key in ("mean", "low", "high", "p"):
        assert float(closed[key]) == pytest.approx(getattr(plain, key))
    nothing = pooled_intervals(np.full((2, 3), np.nan))
    assert math.isnan(float(nothing["mean"])) and math.isnan(float(nothing["p"])) and int(nothing["n"]) == 0
    single = pooled_intervals(np.array([[0.3, np.nan]]))
    assert float(single["mean"]) == 0.3 and math.isnan(float(single["low"])) and math.isnan(float(single["p"]))
    same = pooled_intervals(np.array([[0.1, 0.1], [0.1, 0.1]]))
    assert float(same["low"]) == float(same["high"]) == pytest.approx(0.1) and float(same["p"]) == 0
    assert float(pooled_intervals(np.zeros((2, 2)))["p"]) == 1


def three(report, mixture, boosting, validation=0.7, status="ok"):
    """A mixture and thresholded boosted trees on five splits of one task, at one level."""
    rows = []
    for split in range(5):
        rows += level_rows("german", "mixture", split, "plain", "0.05", mixture[split], 0.04, validation, status)
        rows += level_rows("german", "gradient_boosting", split, "thresholds", "0.05", boosting[split], 0.06, 0.6)
    return of(report, rows)


WOBBLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])


def test_winner_is_chosen_on_validation_and_told_on_test(report):
    found = three(report, 0.5 + WOBBLE, 0.8 - WOBBLE)
    best = found.best["german"][0]
    assert best.winner.id == ("mixture", "plain")  # 0.7 on validation rows, although lower on test rows
    assert best.reached.interval.mean == pytest.approx(0.5)
    assert [c.id for c in best.tied] == [("gradient_boosting", "thresholds")]
    assert (best.reached.kept, best.eligible) == (5, 2)
    assert found.get("german", "0.05", found.contenders[1]).kept == 0  # 0.06 is more than 0.05


def test_surely_lower_is_not_tied_and_imputed_does_not_win(report):
    assert three(report, 0.8 + WOBBLE, 0.5 - WOBBLE).best["german"][0].tied == ()
    found = three(report, 0.8 + WOBBLE, 0.5 - WOBBLE, status="imputed")
    assert found.best["german"][0].winner.id == ("gradient_boosting", "thresholds")
    assert found.places["0.05", ("mixture", "plain")].imputed == 5


@pytest.mark.parametrize(("mixture", "word"), [(0.8, "surely better than"), (0.4, "surely worse than")])
def test_standing_of_the_mixture(report, mixture, word):
    found = three(report, mixture + WOBBLE, 0.6 - WOBBLE)
    mixture_id, rival, level = ("mixture", "plain"), ("gradient_boosting", "thresholds"), "0.05"
    assert found.standing[mixture_id, rival, level].interval.mean == pytest.approx(mixture - 0.6)
    said = standing_sentences(found, found.contender(mixture_id))
    assert said == [("≤ 0.05", f"{word} HistGradientBoosting + thresholds (1 task)")]
    ranks = found.places[level, mixture_id].ranks
    assert ranks == ((1, 1) if mixture > 0.6 else (2, 2))


def test_too_much_noise_establishes_nothing(report):
    found = three(report, 0.6 + 50 * WOBBLE, 0.6 - 50 * WOBBLE)
    said = standing_sentences(found, found.contender(("mixture", "plain")))
    assert said == [("≤ 0.05", "not separable from HistGradientBoosting + thresholds (1 task)")]
    assert found.places["0.05", ("mixture", "plain")].ranks == (1, 2)


def test_thresholds_against_plain(report):
    found = report.levels
    gain = found.gained["utility", "0.02"]
    assert gain.verdict == "better" and gain.tasks == 3
    assert gain.interval.mean == pytest.approx(0.08 * 0.8, abs=0.01)
    assert found.gained["constant", "0.02"].verdict == "identical"
    assert gained_sentence(found, "0.02") == "of 6 methods, thresholds surely raise 5, surely lower 0, and 1 are open"


def test_places_are_measured_from_the_thresholded_trees(report):
    found = report.levels
    assert found.reference.id == ("gradient_boosting", "thresholds")
    for level in LEVELS:
        place = found.places[level, found.reference.id]
        assert place.difference.mean == 0 and place.cells == 15
    assert found.places["0.01", ("constant", "plain")].imputed == 15


def test_a_task_on_fewer_rows_counts_once(make_run, tmp_path):
    tasks = ("adult:sex", "adult:sex@1000")
    folder = make_run(tmp_path, tasks=tasks, methods=("utility", "constant"), splits=2)
    rows = made_levels(tasks, ("utility", "constant"), 2)
    write_csv(frame(rows, FURTHER["levels"], "levels"), folder / "levels.csv")
    found = summarise(read_results(folder)).levels
    assert found.gained["utility", "0.05"].tasks == 1 and set(found.reached) == set(tasks)


def test_page_and_markdown_tell_it(folder, report):
    html, text = (path.read_text(encoding="utf-8") for path in write_report(folder)[:2])
    assert html == render_page(report) and text == render_markdown(report)
    for words in (
        "Mixture, in utility, over all tasks", "imputed 15/15", "≤ ½ unmitigated", "Budget curves",
        "Does a gap that holds on validation rows hold on test rows?", "Is it better than thresholds?",
    ):  # fmt: skip
        assert words in html
    for level, sentence in standing_sentences(report.levels, report.levels.mixtures[0]):
        assert f"<b>{level}</b>: {sentence}" in html and f"**{level}**: {sentence}" in text
    section = html[html.index('<section id="levels">') : html.index("</section>", html.index('<section id="levels">'))]
    assert not re.search(r"\bnan\b", section + text, flags=re.IGNORECASE)


def test_figure_shows_few_lines_and_has_words(report):
    shown = [c.id for c in drawn(report.levels)]
    assert shown[:2] == [("mixture", "plain"), ("mixture", "thresholds")] and len(shown) <= 6
    assert "Test utility on german against the allowed gap. Mixture: " in render_page(report)


def test_without_rows_the_section_says_why(make_run, tmp_path):
    folder = make_run(tmp_path, tasks=("german",), methods=METHODS, splits=2)
    empty = summarise(read_results(folder))
    assert (empty.levels, empty.transfer, empty.budget) == (None, None, None)
    assert "This run has no rows in <code>levels.csv</code>" in render_page(empty)
    assert "levels.csv" in render_markdown(empty)

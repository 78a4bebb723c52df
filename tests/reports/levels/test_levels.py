import pandas as pd
import pytest

from reports.levels.levels import levels
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.levels.level_fixtures import LEVELS, WOBBLE, made_levels, three_rows


def three(report, *values, **facts):
    """Levels of other rows in the same scenarios."""
    return levels(pd.DataFrame(three_rows(*values, **facts)), report.methods, report.scenarios)


def test_winner_is_chosen_on_validation_and_told_on_test(level_report):
    found = three(level_report, 0.5 + WOBBLE, 0.8 - WOBBLE)
    best = found.best["german"][0]
    assert best.winner.id == ("mixture", "plain")  # 0.7 on validation rows, although lower on test rows
    assert best.reached.interval.mean == pytest.approx(0.5)
    assert [c.id for c in best.tied] == [("gradient_boosting", "thresholds")]
    assert (best.reached.kept, best.eligible) == (5, 2)
    assert found.get("german", "0.05", found.contenders[1]).kept == 0  # 0.06 is more than 0.05


def test_surely_lower_is_not_tied_and_imputed_does_not_win(level_report):
    assert three(level_report, 0.8 + WOBBLE, 0.5 - WOBBLE).best["german"][0].tied == ()
    found = three(level_report, 0.8 + WOBBLE, 0.5 - WOBBLE, status="imputed")
    assert found.best["german"][0].winner.id == ("gradient_boosting", "thresholds")
    assert found.places["0.05", ("mixture", "plain")].imputed == 5


@pytest.mark.parametrize(("mixture", "word"), [(0.8, "better"), (0.4, "worse")])
def test_standing_of_the_mixture(level_report, mixture, word):
    found = three(level_report, mixture + WOBBLE, 0.6 - WOBBLE)
    mixture_id, rival, level = ("mixture", "plain"), ("gradient_boosting", "thresholds"), "0.05"
    assert found.standing[mixture_id, rival, level].interval.mean == pytest.approx(mixture - 0.6)
    assert found.standing[mixture_id, rival, level].verdict == word
    ranks = found.places[level, mixture_id].ranks
    assert ranks == ((1, 1) if mixture > 0.6 else (2, 2))


def test_too_much_noise_establishes_nothing(level_report):
    found = three(level_report, 0.6 + 50 * WOBBLE, 0.6 - 50 * WOBBLE)
    standing = found.standing[("mixture", "plain"), ("gradient_boosting", "thresholds"), "0.05"]
    assert (standing.verdict, standing.tasks) == ("not separable", 1)
    assert found.places["0.05", ("mixture", "plain")].ranks == (1, 2)


def test_thresholds_against_plain(level_report):
    found = level_report.levels
    gain = found.gained["utility", "0.02"]
    assert gain.verdict == "better" and gain.tasks == 3
    assert gain.interval.mean == pytest.approx(0.08 * 0.8, abs=0.01)
    assert found.gained["constant", "0.02"].verdict == "identical"
    verdicts = [d.verdict for (_, level), d in found.gained.items() if level == "0.02"]
    assert (len(verdicts), verdicts.count("better"), verdicts.count("worse")) == (6, 5, 0)


def test_places_are_measured_from_the_thresholded_trees(level_report):
    found = level_report.levels
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

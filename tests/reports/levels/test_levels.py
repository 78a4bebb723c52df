import pandas as pd
import pytest

from reports.levels.levels import levels
from reports.method import Method
from reports.methods import MethodRow
from reports.summary import summarise
from reports.table import FURTHER, frame, read_results, write_csv
from tests.reports.conftest import method
from tests.reports.levels.level_fixtures import LEVELS, WOBBLE, level_rows, made_levels, scenario, three_rows


def three(*values, **facts):
    """Levels of a mixture and boosted trees on one task."""
    methods = [method(m, i) for i, m in enumerate(("mixture", "gradient_boosting"), start=1)]
    return levels(pd.DataFrame(three_rows(*values, **facts)), methods, [scenario("german", methods)])


def test_winner_is_chosen_on_validation_and_told_on_test():
    found = three(0.5 + WOBBLE, 0.8 - WOBBLE)
    best = found.best["german"][0]
    assert best.winner.id == ("mixture", "plain")  # 0.7 on validation rows, although lower on test rows
    assert best.reached.interval.mean == pytest.approx(0.5)
    assert [c.id for c in best.tied] == [("gradient_boosting", "thresholds")]
    assert (best.reached.kept, best.eligible) == (5, 2)
    assert found.get("german", "0.05", found.contenders[1]).kept == 0  # 0.06 is more than 0.05


def test_surely_lower_is_not_tied_and_imputed_does_not_win():
    assert three(0.8 + WOBBLE, 0.5 - WOBBLE).best["german"][0].tied == ()
    found = three(0.8 + WOBBLE, 0.5 - WOBBLE, status="imputed")
    assert found.best["german"][0].winner.id == ("gradient_boosting", "thresholds")
    assert found.places["0.05", ("mixture", "plain")].imputed == 5


@pytest.mark.parametrize(("mixture", "word"), [(0.8, "better"), (0.4, "worse")])
def test_standing_of_the_mixture(mixture, word):
    found = three(mixture + WOBBLE, 0.6 - WOBBLE)
    mixture_id, rival, level = ("mixture", "plain"), ("gradient_boosting", "thresholds"), "0.05"
    assert found.standing[mixture_id, rival, level].interval.mean == pytest.approx(mixture - 0.6)
    assert found.standing[mixture_id, rival, level].verdict == word
    ranks = found.places[level, mixture_id].ranks
    assert ranks == ((1, 1) if mixture > 0.6 else (2, 2))


def test_too_much_noise_establishes_nothing():
    found = three(0.6 + 50 * WOBBLE, 0.6 - 50 * WOBBLE)
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


HAND = tuple(
    Method(MethodRow(name, name, kind=kind, levels=sides), i, "baseline", name)
    for i, (name, kind, sides) in enumerate(
        (
            ("trees", "baseline", (("rival", "thresholds"), ("reference", "plain"))),
            ("forest", "baseline", (("rival", "thresholds"),)),
            ("failed", "baseline", (("rival", "thresholds"),)),
            ("first", "gate", (("mixture", "plain"),)),
            ("second", "gate", (("mixture", "plain"),)),
        ),
        start=1,
    )
)
"""Two mixtures, two rivals with rows, and a method that failed everywhere."""


def hand_rows():
    """The first mixture meets trees on german, the second forest on credit; trees have both variants at one level."""
    places = {
        "german": {"0.05": (("trees", "thresholds", 0.7), ("trees", "plain", 0.65), ("first", "plain", 0.8)),
                   "any": (("trees", "thresholds", 0.75), ("first", "plain", 0.85))},
        "credit": {"0.05": (("forest", "thresholds", 0.6), ("second", "plain", 0.5))},
    }  # fmt: skip
    return [
        row
        for task, by_level in places.items()
        for level, own in by_level.items()
        for method, variant, utility in own
        for split in range(3)
        for row in level_rows(task, method, split, variant, level, utility + WOBBLE[split], 0.01)
    ]


@pytest.fixture(scope="module")
def by_hand():
    return levels(pd.DataFrame(hand_rows()), HAND, [scenario(t, HAND, splits=3) for t in ("german", "credit", "scm")])


def test_levels_stand_in_their_order_and_need_one_task(by_hand):
    assert by_hand.levels == ("0.05", "any") and list(by_hand.values) == ["0.05", "any"]
    assert list(by_hand.reached) == ["german", "credit"] == list(by_hand.best)
    assert {task: [b.level for b in own] for task, own in by_hand.best.items()} == {
        "german": ["0.05", "any"], "credit": ["0.05"],
    }  # fmt: skip
    assert {level for level, _ in by_hand.places} == {"0.05", "any"}


def test_only_those_that_meet_are_compared(by_hand):
    assert [c.method.id for c in by_hand.mixtures] == ["first", "second"]
    rivals = {c.method.id: [r.id for r in by_hand.rivals(c)] for c in by_hand.mixtures}
    assert rivals == {"first": [("trees", "thresholds")], "second": [("forest", "thresholds")]}
    rows = [row for row in hand_rows() if row["method"] != "trees"]
    alone = levels(pd.DataFrame(rows), HAND, [scenario(t, HAND, splits=3) for t in ("german", "credit")])
    assert [c.method.id for c in alone.mixtures] == ["second"] and alone.reference is None


def test_a_contender_is_found_by_its_id_and_what_it_reaches_by_task_and_level(by_hand):
    trees = by_hand.contender(("trees", "plain"))
    assert trees.id == ("trees", "plain") == by_hand.reference.id
    assert by_hand.contender(("second", "plain")).id == ("second", "plain")
    assert by_hand.get("german", "0.05", trees).test == pytest.approx(0.65 + WOBBLE[:3])
    assert [by_hand.get(*key, trees) for key in (("german", "any"), ("credit", "0.05"), ("scm", "0.05"))] == [None] * 3


def test_a_gain_needs_both_variants_at_one_level(by_hand):
    assert by_hand.has_gain("trees") and not by_hand.has_gain("forest")
    assert list(by_hand.gained) == [("trees", "0.05")]
    assert by_hand.gained["trees", "0.05"].interval.mean == pytest.approx(0.05)


def test_methods_of_a_task_of_which_nothing_is_known_are_counted(by_hand):
    (low, any_gap), (credit,) = by_hand.best.values()
    assert (low.unknown, any_gap.unknown, credit.unknown) == (3, 3, 3)
    assert (low.winner.id, credit.winner.id) == (("first", "plain"), ("forest", "thresholds"))


def test_a_gap_that_no_row_bounds_has_no_levels():
    rows = pd.DataFrame(hand_rows())
    assert levels(rows, HAND, [scenario("german", HAND, splits=3)], "dp@1") is None
    parity = levels(rows.replace("fair_res@1", "dp@1"), HAND, [scenario("german", HAND, splits=3)], "dp@1")
    assert parity.gap == "dp@1" and parity.levels == ("0.05", "any")

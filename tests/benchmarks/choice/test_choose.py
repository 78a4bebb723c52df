"""The rule of choosing on made methods whose right order is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from benchmarks.choice.asked import Asked, bound_of
from benchmarks.choice.candidate import Cost, beyond, why_not
from benchmarks.choice.choose import choose
from benchmarks.choice.cross_fit.rows import FOLDS, Rows
from benchmarks.choice.error import ChoiceError
from benchmarks.choice.material import Material
from benchmarks.choice.rule import Recommendation
from benchmarks.choice.words import SURE
from metrics.evidence import Evidence
from tests.benchmarks.choice.made import ground_of, material, model, rows_of

ROWS = rows_of()


def chosen(asked: Asked, *methods: Material, rows: Rows = ROWS) -> Recommendation:
    """What is recommended on one split."""
    return choose([ground_of(rows)], [[one] for one in methods], asked)


def out(found: Recommendation, name: str) -> str:
    """Why a candidate was left out."""
    return next(one.excluded for one in found.out if one.name == name)


def test_the_most_useful_that_keeps_the_limit() -> None:
    good, poor = material(ROWS, "good", model(ROWS, 0.8, 0.0)), material(ROWS, "poor", model(ROWS, 0.6, 0.0, 1))
    unfair = material(ROWS, "unfair", model(ROWS, 0.95, 0.5, 2))
    found = chosen(Asked("dp@1", 0.05), poor, good, unfair)
    assert found.best is not None
    assert found.best.method in ("good", "unfair")  # thresholds may make the unfair one fair
    assert found.best.gap <= 0.05
    assert found.free.method == "unfair"
    assert all(rival.lead.value >= 0 for rival in found.rivals)
    assert "poor" not in {rival.candidate.method for rival in found.tied}
    assert out(found, "unfair") == "nothing of it keeps the limit on the rows that choose"


@pytest.mark.parametrize("over", [0.0, 1e-10])
def test_a_limit_is_kept_to_the_last_digit(over: float) -> None:
    """A ten-thousandth of a millionth is too much, though numbers of 32 bits do not see it."""
    asked = Asked("dp@1", 0.05)
    best = chosen(asked, material(ROWS, "good", model(ROWS, 0.8, 0.0))).best
    assert best is not None
    held = dataclasses.replace(best.tried[0].held, gap=asked.limit + over)
    one = dataclasses.replace(best, tried=(dataclasses.replace(best.tried[0], held=held),))
    assert why_not(one, asked).startswith("it keeps the limit on rows that chose it" if over else "")
    assert bool(why_not(one, asked)) == bool(over)


@pytest.mark.parametrize("metric", ["dp@1", "worst_acc@1"])
def test_any_value_keeps_no_limit_but_an_unknown_one(metric: str) -> None:
    asked = Asked(metric, math.inf)
    assert beyond(0.3, asked) == -math.inf and beyond(math.nan, asked) == math.inf


def few_rows() -> Rows:
    """80 rows of which 10 of group 1 have label 1: enough for a rate of them, and too few without any one fold."""
    labels = torch.tensor([0] * 30 + [1] * 30 + [0] * 10 + [1] * 10)
    return Rows(labels, torch.tensor([0] * 60 + [1] * 20), 2, torch.arange(80) % FOLDS)


def test_without_a_limit_few_rows_of_a_group_do_not_matter() -> None:
    rows = few_rows()
    one = material(rows, "one", model(rows, 0.8, 0.0))
    found = chosen(Asked("fair_res@1", math.inf), one, rows=rows)
    assert found.best is not None and found.best.name == "one"
    assert found.best.utility.value == pytest.approx(found.free.utility.value)
    assert found.whole is not None and found.whole.picks == ("one",) * FOLDS


def test_few_rows_of_a_group_are_no_broken_limit() -> None:
    """Any gap keeps a limit of 1; where the gap of a part cannot be known, that is the reason, not the limit."""
    rows = few_rows()
    found = chosen(Asked("fair_res@1", 1.0), material(rows, "one", model(rows, 0.8, 0.0)), rows=rows)
    assert found.best is None
    assert out(found, "one") == "without one fold groups have too few rows for fair_res (so for 5 folds)"
    scarce = dataclasses.replace(rows, groups=torch.tensor([0] * 60 + [1] * 11 + [0] * 9))
    found = chosen(Asked("fair_res@1", 1.0), material(scarce, "one", model(scarce, 0.8, 0.0)), rows=scarce)
    assert out(found, "one") == "groups have too few rows for fair_res"


def test_a_dominated_method_is_never_chosen() -> None:
    good, worse = material(ROWS, "good", model(ROWS, 0.8, 0.02)), material(ROWS, "worse", model(ROWS, 0.7, 0.2, 1))
    for limit in (0.02, 0.05, 0.1, 0.3, math.inf):
        found = chosen(Asked("fair_res@1", limit), worse, good)
        assert found.best is not None
        assert found.best.method == "good"


def test_a_constant_is_never_chosen() -> None:
    same = material(ROWS, "same", torch.full((len(ROWS.labels),), 0.9, dtype=torch.float64))
    found = chosen(Asked("dp@1", 0.01), same, material(ROWS, "unfair", model(ROWS, 0.7, 0.6)))
    assert "same" not in {one.method for one in (found.best, found.free) if one is not None}
    only = [rival.candidate.method for rival in found.rivals]
    assert "same" not in only


def lucky(rows: Rows, cheat: float) -> Tensor:
    """[FOLDS, n] models that are fair and right outside of one fold each, and unfair within it."""
    right = 0.5 + (rows.labels - 0.5) * 0.8
    said = right.expand(FOLDS, -1).clone()
    number = torch.arange(len(rows.labels)) // (4 * FOLDS)  # within fold, group and label
    for k in range(FOLDS):
        flipped = (rows.fold == k) & (rows.groups == 1) & (rows.labels == 0) & (number % 10 < 10 * cheat)
        said[k, flipped] = 0.9
    return said


def test_what_keeps_the_limit_only_where_it_was_chosen_is_not_chosen() -> None:
    # each configuration is unfair in one fold: on all rows by a fifth of it, but cross-fitting picks it for that fold
    said = lucky(ROWS, 0.4)
    chance = material(ROWS, "chance", model(ROWS, 0.55, 0.6), trained=said)
    found = chosen(Asked("dp@1", 0.05), chance)
    plain = next(one for one in found.out if one.name == "chance")
    assert plain.tried[0].held.seen <= 0.05
    assert plain.gap == pytest.approx(0.2)
    assert plain.excluded == "it keeps the limit on rows that chose it (0.040), not on others (0.200)"


def test_trials_are_told_by_their_numbers() -> None:
    said = torch.stack((model(ROWS, 0.6, 0.0), torch.full((len(ROWS.labels),), torch.nan), model(ROWS, 0.8, 0.0, 1)))
    one = dataclasses.replace(material(ROWS, "m", model(ROWS, 0.9, 0.5, 2), trained=said), trials=(4, 7, 9))
    found = chosen(Asked("dp@1", 0.05), one)
    plain = next(c for c in (found.best, *(r.candidate for r in found.rivals)) if c is not None and c.way == "plain")
    assert plain.tried[0].held.fit is not None
    assert plain.tried[0].held.fit.trial == 9


def test_of_equals_the_cheapest() -> None:
    said = model(ROWS, 0.8, 0.0)
    dear, cheap = (material(ROWS, n, said, cost=Cost(9.0, p)) for n, p in (("a_dear", 900.0), ("cheap", 9.0)))
    found = chosen(Asked("dp@1", 0.05), dear, cheap)
    assert found.best is not None
    assert (found.best.method, found.best.way) == ("cheap", "plain")


def test_not_separable_and_simpler_is_pointed_out() -> None:
    best = material(ROWS, "best", model(ROWS, 0.80, 0.0), cost=Cost(100.0, 1e6))
    simple = material(ROWS, "simple", model(ROWS, 0.795, 0.0, 1), cost=Cost(1.0, 10.0))
    found = chosen(Asked("dp@1", 0.06), best, simple)
    assert found.best is not None
    if found.best.method == "best":
        assert found.simplest is not None
        assert found.simplest.method == "simple"


def test_nothing_keeps_an_impossible_limit() -> None:
    found = chosen(Asked("worst_acc@1", 0.99), material(ROWS, "m", model(ROWS, 0.7, 0.1)))
    assert found.best is None
    assert found.price is None
    assert {one.name for one in found.out} == {"m", "m + thresholds"}


def test_same_seed_same_answer() -> None:
    methods = [material(ROWS, f"m{k}", model(ROWS, 0.7 + 0.02 * k, 0.1 * k, k)) for k in range(3)]
    first, again = (chosen(Asked("fair_res@1", 0.05, seed=3), *methods) for _ in range(2))
    assert first.best is not None
    assert again.best is not None
    assert (first.best.name, first.best.probability, first.best.utility) == (
        again.best.name, again.best.probability, again.best.utility,
    )  # fmt: skip


def test_probability_asks_for_a_margin() -> None:
    method = material(ROWS, "m", model(ROWS, 0.8, 0.4))
    plain, sure = (chosen(Asked("dp@1", 0.08, transfer=t), method).best for t in (None, 0.8))
    assert plain is not None
    assert sure is not None
    assert sure.probability >= 0.8
    assert sure.kappa <= plain.kappa
    impossible = chosen(Asked("dp@1", 0.01, transfer=0.95), method)
    assert impossible.best is None
    assert "with probability" in impossible.out[0].excluded


def test_without_the_group_no_thresholds_by_group() -> None:
    method = material(ROWS, "m", model(ROWS, 0.8, 0.0))
    told = dataclasses.replace(material(ROWS, "told", model(ROWS, 0.9, 0.0, 1)), knows_group=True)
    found = chosen(Asked("dp@1", 0.05, without_group=True), method, told)
    assert found.best is not None
    assert (found.best.method, found.best.way) == ("m", "plain")
    assert out(found, "told") == out(found, "m + thresholds") == "it must be told the group"


def test_utility_can_be_asked_for() -> None:
    found = chosen(Asked("dp@1", 0.05, min_utility=0.95), material(ROWS, "m", model(ROWS, 0.8, 0.0)))
    assert found.best is None
    assert out(found, "m").startswith("its utility is 0.")


ALIKE = torch.ones(len(ROWS.labels), 2, dtype=torch.float64)
APART = torch.stack((ROWS.groups, 1 - ROWS.groups), -1).to(torch.float64)


def reasoned(*kinds: tuple[str, Tensor | None, float]) -> list[Material]:
    """Methods with the attributions that they tell; None tells none."""
    methods = []
    for name, attributions, right in kinds:
        said = model(ROWS, right, 0.0)
        one = material(ROWS, name, said, trained=said[None])
        evidence = Evidence(said, attributions, None if attributions is None else said)
        methods.append(dataclasses.replace(one, told=dataclasses.replace(one.told, evidence=evidence)))
    return methods


def test_reasons_are_bounded_and_unknown_ones_left_out() -> None:
    methods = reasoned(("alike", ALIKE, 0.7), ("apart", APART, 0.9), ("silent", None, 0.95))
    found = chosen(Asked("dp@1", 0.05, bound=bound_of("ATT-JSD=.1")), *methods)
    assert found.best is not None
    assert found.best.method == "alike"
    assert found.best.reasons == pytest.approx(0)
    assert out(found, "apart").startswith("its reasons differ too much (att_jsd@1 1.000)")
    assert out(found, "silent").startswith("its reasons are not stored")


def test_the_closest_is_one_that_a_smaller_wish_would_let_in() -> None:
    # m + thresholds has a smaller gap than m, but may not be had; a constant has none at all
    method = material(ROWS, "m", model(ROWS, 0.8, 0.1), trained=model(ROWS, 0.8, 0.1)[None])
    same = material(ROWS, "same", torch.full((len(ROWS.labels),), 0.9, dtype=torch.float64))
    found = chosen(Asked("dp@1", 0.3, without_group=True, min_utility=0.95), method, same)
    assert found.best is None
    assert next(one.name for one in found.out) == "m"
    told = chosen(
        Asked("dp@1", 0.3, bound=bound_of("ATT-JSD=.1")), *reasoned(("apart", APART, 0.8), ("silent", None, 0.9))
    )
    assert told.best is None
    assert told.out[0].method == "apart"  # how far it is, is known


def test_what_hangs_on_few_rows_is_told() -> None:
    # every fold chooses a configuration of its own: the numbers are those of the rule, not of the delivered model
    said = torch.stack([model(ROWS, 0.75, 0.0, seed) for seed in range(5)])
    for k in range(5):  # wrong where it would be chosen for
        said[k, ROWS.fold == k] = 0.5 - (ROWS.labels[ROWS.fold == k].double() - 0.5) * 0.8
    unsure = material(ROWS, "unsure", model(ROWS, 0.5, 0.0, 9), trained=said)
    found = chosen(Asked("fair_res@1", 0.3), unsure)
    plain = next(
        one for one in (found.best, *(r.candidate for r in found.rivals), *found.out) if one and one.way == "plain"
    )
    fit = plain.tried[0].held.fit
    assert fit is not None
    assert fit.trial is not None
    own, folds = said[fit.trial] > 0.5, plain.tried[0].held.probability > 0.5
    assert plain.agreement == float((own == folds).double().mean())
    assert plain.agreement < SURE
    steady = chosen(Asked("dp@1", 0.3), material(ROWS, "m", model(ROWS, 0.8, 0.0)))
    assert steady.best is not None
    assert steady.best.agreement > SURE


def test_metrics_that_thresholds_cannot_bound_are_kept_by_configurations() -> None:
    said = torch.stack((model(ROWS, 0.9, 0.0), model(ROWS, 0.6, 0.0, 1)))
    found = chosen(Asked("acc@1", 0.8), material(ROWS, "m", model(ROWS, 0.6, 0.0, 2), trained=said))
    assert found.best is not None
    assert (found.best.way, found.out) == ("plain", ())


def test_a_way_that_one_split_lacks_is_no_candidate() -> None:
    grounds = [ground_of(ROWS), ground_of(ROWS)]
    said = model(ROWS, 0.8, 0.0)
    one = material(ROWS, "m", said)
    bagged = dataclasses.replace(one, oof=torch.logit(said).float())
    found = choose(grounds, [[bagged, one]], Asked("dp@1", 0.05))
    assert found.best is not None
    assert {one.way for one in (found.best, *(r.candidate for r in found.rivals))} == {"plain", "thresholds"}
    assert len(found.best.tried) == 2


@pytest.mark.slow
def test_the_best_of_many_equals_is_told_with_its_luck() -> None:
    # a dozen methods that are equally good: the best one seems better than any is, the cross-fitted rule does not
    rows, seems, whole = rows_of(200), [], []
    for draw in range(10):
        methods = [material(rows, f"m{k}", model(rows, 0.75, 0.0, 100 * draw + k)) for k in range(12)]
        found = chosen(Asked("acc@1", 0.5), *methods, rows=rows)
        assert found.best is not None
        assert found.whole is not None
        assert len(found.whole.picks) == FOLDS
        every = [found.best, *(rival.candidate for rival in found.rivals)]
        truth = sum(one.utility.value for one in every) / len(every)
        seems.append(found.best.utility.value - truth)
        whole.append(found.whole.utility.value - truth)
    luck = sum(seems) / len(seems)
    assert luck > 0.02
    assert abs(sum(whole) / len(whole)) < luck / 2


def test_without_a_rival_the_rule_is_the_candidate() -> None:
    alone = dataclasses.replace(material(ROWS, "m", model(ROWS, 0.8, 0.0)), knows_group=False)
    found = chosen(Asked("dp@1", 0.05, without_group=True), alone)
    assert found.best is not None
    assert found.whole is not None
    assert found.whole.gap == found.best.gap
    assert found.whole.utility == found.best.utility


def test_constant_on_one_split_alone_is_still_a_model() -> None:
    same = material(ROWS, "m", torch.full((len(ROWS.labels),), 0.9, dtype=torch.float64))
    found = choose([ground_of(ROWS)] * 2, [[same, material(ROWS, "m", model(ROWS, 0.8, 0.0))]], Asked("dp@1", 0.05))
    assert found.free.method == "m"
    assert found.best is None or found.best.way != "plain"


def test_no_utility_at_all_is_said() -> None:
    rows = dataclasses.replace(ROWS, labels=torch.zeros_like(ROWS.labels))
    with pytest.raises(ChoiceError, match="No method of this task has a utility"):
        chosen(Asked("dp@1", 0.05), material(rows, "m", model(ROWS, 0.8, 0.0)), rows=rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "ref@1"}, "ref@1 cannot be limited"),
        ({"limit": -0.1}, "makes no sense for fair_res@1"),
        ({"metric": "worst_acc@1", "limit": 80.0}, "give the smallest value that is allowed, such as 0.8"),
        ({"transfer": 1.5}, "is no probability"),
        ({"min_utility": 7.0}, "utility lies in"),
    ],
)
def test_numbers_that_make_no_sense(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ChoiceError, match=words):
        Asked(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["att_jsd", "att_jsd=x", "att_jsd=-1"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(ChoiceError, match="is no bound"):
        bound_of(text)

"""What is looked at while experts train: figures with known answers, and what follows from them."""

import math
from typing import Any

import pytest
import torch

from llm_experts.discovery.teaching.watching import Bounds, Watching, evenly, neutral_items
from llm_experts.evaluation.compare import newcombe
from llm_experts.generation.alignment import alignment_of
from llm_experts.training.sequences.choices import Choices, choices_of, own_logprobs
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.proportions import wilson
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.discovery.teaching.training_fixtures import asked, expert_items, question


def row(accuracy: float, alignment: float = 0.9, drift: float = 0.08, n: int = 50) -> dict[str, Any]:
    low, high = wilson(round(accuracy * n), n)
    return {"score": accuracy, "logprob": -1.0, "low": low, "high": high, "alignment": alignment, "drift": drift}


def watch(**given: Any) -> Watching:
    base = make_tiny_base(layers=1)
    seen = expert_items().watching
    return Watching.of(base, seen, seen, neutral_items(base, seen), Bounds(**{"target": 0.8, "drift": 0.1, **given}))


def test_figures_are_those_of_every_lane_alone() -> None:
    base = make_tiny_base(layers=2)
    sets = [expert_items("yes").watching, expert_items("no", watched=5).watching]
    neutral = neutral_items(base, [*sets[0], *sets[1]], most=3)
    assert len(neutral) == 3 and all(item.learnt == len(item.parts[0].ids) - 1 for item in neutral)
    watches = [Watching.of(base, seen, seen, neutral, Bounds(0.8)) for seen in sets]
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1])
    theta = lanes.start + 0.1
    found = watches[0].look(watches, lanes, theta)
    for at, (own, told) in enumerate(zip(watches, found, strict=True)):
        alone, weights = lanes.select(torch.tensor([at])), theta[at : at + 1]
        margins = own.watching.margins(alone, weights)[0]
        right = int((margins > 0).sum())
        assert own.pairs is not None and told["alignment"] == float(alignment_of(alone, weights, own.pairs)[0])
        assert (told["score"], told["low"], told["high"]) == (right / len(margins), *wilson(right, len(margins)))
        assert math.isclose(told["zone"], float(margins.sigmoid().mean()), rel_tol=1e-5)
        change = [
            (alone.token_logprobs(weights, batch) - alone.base_logprobs(batch)).abs().sum()
            for batch in batches(neutral)
        ]
        assert math.isclose(told["drift"], float(sum(change)) / sum(item.learnt for item in neutral), rel_tol=1e-5)
    assert all(one["drift"] == 0 for one in watches[0].look(watches, lanes, lanes.start)), "fresh lanes are the base"


def batches(items: Any) -> list[Any]:
    from llm_experts.training.sequences.batch import collate

    return [collate([[item]], torch.device("cpu")) for item in items]


def test_evenly_is_spread_over_the_whole() -> None:
    assert evenly(range(10), 4) == [0, 2, 5, 7] and evenly("abc", 5) == ["a", "b", "c"] and evenly([], 3) == []


def test_lanes_read_choices_of_their_own_in_one_pass() -> None:
    base = make_tiny_base(layers=2)
    one = Choices.of(base, [question(1, "yes"), question(22, "no")], [("yes", "no"), ("no", "yes", "unknown")])
    two = Choices.of(base, [question(333, "yes")], [("yes", "no or yes")])
    lanes = SequenceLanes.fresh(base, "lora", [4, 4], [0, 1])
    theta = lanes.start + 0.1
    found = own_logprobs([one, two], lanes, theta)
    for lane, own in enumerate((one, two)):
        (alone,) = own.logprobs(lanes.select(torch.tensor([lane])), theta[lane : lane + 1])
        torch.testing.assert_close(found[lane], alone, rtol=1e-5, atol=1e-5)
    assert found[0][0, 2] == -torch.inf
    shared = own_logprobs([one, one], lanes, theta)
    assert all(torch.equal(*pair) for pair in zip(shared, one.logprobs(lanes, theta), strict=True))


@pytest.mark.parametrize(("base", "floor"), [(0.9, 0.6), (0.65, 0.6), (0.62, 0.57), (0.4, 0.35), (math.nan, math.nan)])
def test_the_floor_is_relative_where_the_base_is_hardly_above_it(base: float, floor: float) -> None:
    assert watch().floor(base) == pytest.approx(floor, nan_ok=True)


def test_what_falls_below_the_floor_ends_and_is_not_kept() -> None:
    verdict = watch().verdict([row(0.5), row(0.9, alignment=0.58)])
    assert not verdict.sound and "alignment is 0.580, below the floor of 0.600" in verdict.stop
    assert watch().verdict([row(0.5, alignment=0.4), row(0.9, alignment=0.36)]).sound
    unknown = [row(0.5, alignment=math.nan), row(0.9, alignment=math.nan)]
    assert watch().verdict(unknown) == (True, "", 1.0)


def test_an_expert_that_drifts_far_ends_however_aligned_it_is() -> None:
    verdict = watch(most=4.0).verdict([row(0.5), row(0.9, alignment=1.0, drift=13.9)])
    assert not verdict.sound and verdict.stop == (
        "the drift is 13.9 nats a token, above the bound of 4, and it is not surely better than the base on its own "
        "items"
    )
    assert not watch().verdict([row(0.5), row(0.9, drift=math.nan)]).sound, "an unknown drift is no small one"


@pytest.mark.parametrize(
    ("worth", "said"),
    [
        ({"gain_low": 0.2, "cost": -0.05, "cost_high": 0.01}, ""),
        ({"gain_low": 0.2}, ""),  # there is no other domain
        ({"gain_low": 0.2, "cost": -0.2, "cost_high": -0.12}, "and other domains surely lose by it (-20.0 points)"),
        (
            {"gain_low": 0.0, "cost": 0.1, "cost_high": 0.2},
            "and it is not surely better than the base on its own items",
        ),
    ],
)
def test_a_drift_above_the_bound_has_to_be_worth_it(worth: dict[str, float], said: str) -> None:
    verdict = watch(most=4.0).verdict([row(0.5), {**row(0.9, drift=5.3), **worth}])
    assert verdict.sound is not bool(said) and said in verdict.stop and bool(verdict.stop) is bool(said)
    reached = [row(0.5), *[{**row(0.96, drift=5.3), **worth}] * 3]
    assert bool(watch(most=4.0, patience=2).verdict(reached).stop), "at its target, or for its drift"


def test_what_a_drift_is_worth_is_asked_above_the_bound_only_and_paired_with_the_base() -> None:
    base = make_tiny_base(layers=2)
    seen, others = expert_items("yes").watching, expert_items("no", watched=5).watching
    lanes = SequenceLanes.fresh(base, "lora", [4], [0])
    theta = lanes.start + 0.3
    neutral = neutral_items(base, seen)
    near, far = (Watching.of(base, seen, (), neutral, Bounds(0.8, most=most), elsewhere=others) for most in (1e6, 0.0))
    (told,) = near.look([near], lanes, theta)
    assert all(math.isnan(told[name]) for name in ("gain", "gain_low", "cost", "cost_high"))
    (told,) = far.look([far], lanes, theta)
    for scenarios, value, end, place in ((seen, "gain", "gain_low", 0), (others, "cost", "cost_high", 1)):
        choices = choices_of(base, scenarios)
        mine, theirs = choices.margins(lanes, theta)[0] > 0, choices.base_margins(lanes) > 0
        only, against, both = int((mine & ~theirs).sum()), int((theirs & ~mine).sum()), int((mine & theirs).sum())
        n = len(scenarios)
        assert told[value] == (only - against) / n
        assert told[end] == newcombe(both, only, against, n - both - only - against)[place]


def test_training_ends_once_the_target_is_surely_reached_and_nothing_better_comes() -> None:
    """48 of 50 are 0.865 to 0.989 at 95 %: surely above 0.8, not above 0.9."""
    rows = [row(0.5), row(0.96), row(0.94), row(0.94)]
    assert watch(patience=3).verdict(rows).stop == ""
    told = watch(patience=2).verdict(rows).stop
    assert (
        told
        == "the target of 0.800 is reached (0.960, 95 % interval 0.865 to 0.989), and nothing better came in 2 looks"
    )
    assert watch(patience=2, target=0.9).verdict(rows).stop == ""
    spoilt = [row(0.5), row(0.96, alignment=0.1), row(0.7), row(0.7)]
    assert watch(patience=1).verdict(spoilt).stop == "", "a checkpoint that may not be kept reaches nothing"


@pytest.mark.parametrize(
    ("drift", "alignment", "hold"),
    [(0.11, 0.9, 1.5), (0.08, 0.9, 1.0), (0.06, 0.9, 1 / 1.5), (0.06, 0.64, 1.5), (0.06, 0.66, 1 / 1.5)],
)
def test_the_hold_follows_drift_and_rises_when_alignment_is_low(drift: float, alignment: float, hold: float) -> None:
    found = watch(drift=0.1).verdict([row(0.5), row(0.6, alignment, drift)]).hold
    assert found == pytest.approx(hold)
    low = watch(drift=0.1).verdict([row(0.5, 0.62), row(0.6, 0.62, 0.08)])
    assert low.hold == 1.0, "a base that is itself below the bound is no reason"


def test_the_key_tells_watches_apart() -> None:
    base = make_tiny_base(layers=1)
    seen = [asked(question(at, "yes")) for at in range(3)]
    keys = {
        Watching.of(base, seen[:n], seen[:m], neutral_items(base, seen), bounds).key
        for n, m in ((2, 2), (3, 2), (2, 3))
        for bounds in (Bounds(0.8), Bounds(0.8, floor=0.5))
    }
    assert len(keys) == 6

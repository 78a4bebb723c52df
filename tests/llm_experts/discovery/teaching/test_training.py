"""Experts of a plan: trained together, watched, held, begun again, and the same after a kill."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.data.error import DataError
from llm_experts.discovery.measuring.domain import Domain
from llm_experts.discovery.teaching.training import TrainedExpert, TrainingSettings, expert_set, train_experts
from llm_experts.families.listed import LISTED
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.discovery.teaching.training_fixtures import Plan, biased_items, expert_items, quick


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base(layers=2)


def same(one: TrainedExpert, two: TrainedExpert) -> bool:
    """Bit for bit, but for where they lie."""
    states = one.adapter.state, two.adapter.state
    equal = all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    return equal and one.as_dict() == two.as_dict()


@pytest.mark.parametrize("kind", ["lora", "svf"])
def test_experts_learn_together_and_are_read_again(base: Base, tmp_path: Path, kind: str) -> None:
    plan = [Plan("sure"), Plan("other", 0.5)]
    sets = {"sure": expert_items("yes"), "other": expert_items("no")}
    settings = quick(kind=kind, rank=2 if kind == "lora" else None, lr=2e-2 if kind == "lora" else 0.2, floor=0.0)
    found = train_experts(base, plan, sets, settings, folder=tmp_path)
    assert [one.name for one in found] == ["sure", "other"]
    for one in found:
        assert one.accuracy == 1.0 and one.reached and one.low < 1.0 == one.high and one.restarts == 0
        assert one.curve[0].step == 0 and one.curve[0].drift == 0 and one.curve[0].loss is None
        assert [row.step for row in one.curve] == list(range(0, one.steps + 1, 3)) and one.curve[-1].drift > 0
        written = json.loads(json.dumps(one.as_dict(), allow_nan=False))
        assert same(one, TrainedExpert.from_dict(written, tmp_path))
    again = train_experts(base, plan, sets, settings, folder=tmp_path)
    assert all(map(same, found, again))


def test_lanes_are_what_each_would_be_alone(base: Base, tmp_path: Path) -> None:
    sets = {"a": expert_items("yes"), "b": expert_items("no", watched=5)}
    settings = quick(floor=0.0)
    together = train_experts(base, [Plan("a"), Plan("b")], sets, settings, folder=tmp_path / "both")
    alone = [train_experts(base, [Plan(name)], sets, settings, folder=tmp_path / name)[0] for name in "ab"]
    for one, two in zip(together, alone, strict=True):
        for row, other in zip(one.curve, two.curve, strict=True):  # drift is that of other texts
            assert (row.accuracy, row.alignment) == (other.accuracy, other.alignment)
            assert math.isclose(row.zone, other.zone, rel_tol=1e-4)


def test_who_reaches_the_target_surely_ends_and_others_go_on(base: Base, tmp_path: Path) -> None:
    sets = {"easy": expert_items("yes"), "hard": expert_items("yes")}
    settings = quick(floor=0.0, patience=1, epochs=8)
    easy, hard = train_experts(base, [Plan("easy", 0.3), Plan("hard", 1.0)], sets, settings, folder=tmp_path)
    assert "the target of 0.300 is reached (1.000, 95 % interval" in easy.stopped or easy.stopped == ""
    assert hard.stopped == "" and hard.steps == 24, "an interval of 8 items never lies above 1"


def test_settings_are_read_again() -> None:
    given = quick(kind="svf", rank=None, options={"worth": "sign"})
    assert TrainingSettings.from_dict(json.loads(json.dumps(given.as_dict()))) == given


def test_domains_of_an_expert_are_mixed_equally_and_their_answers_listed() -> None:
    domains = [Domain("sums", "arithmetic"), Domain("days", "dates")]
    items = {"sums": domains[0].items("training", 4), "days": domains[1].items("training", 2)}
    found = expert_set(domains, items, [])
    assert [one.facts["family"] for one in found.train] == ["arithmetic", "dates"] * 4
    assert len({one.id for one in found.train}) == 6, "the days are given twice"
    for one in found.train:
        assert one.facts[LISTED][0] == one.completion and len(set(one.facts[LISTED])) > 1
    with pytest.raises(DataError, match="The domain days has no training items"):
        expert_set(domains, {"sums": items["sums"]}, [])


def test_an_expert_without_scenarios_is_refused(base: Base, tmp_path: Path) -> None:
    sets = {"a": replace(expert_items(), watching=[])}
    with pytest.raises(DataError, match="expert a has no items to watch"):
        train_experts(base, [Plan("a")], sets, quick(), folder=tmp_path)


def test_an_expert_that_follows_the_name_is_ended_begun_again_and_given_up(base: Base, tmp_path: Path) -> None:
    """Its alignment falls; the other expert trains to its end as it would have anyway."""
    sets = {"fair": expert_items("yes"), "biased": biased_items()}
    settings = quick(beta=0.0, epochs=8, look_every=2)
    fair, biased = train_experts(base, [Plan("fair"), Plan("biased")], sets, settings, folder=tmp_path / "both")
    assert (fair.restarts, fair.given_up, fair.steps) == (0, False, 24)
    assert biased.restarts == 1 and biased.given_up and "below the floor of 0.600" in biased.stopped
    assert min(row.alignment for row in biased.earlier or biased.curve if row.alignment is not None) < 0.6
    kept = next(row for row in biased.curve if row.step == biased.best_step)
    assert kept.alignment is not None and kept.alignment >= 0.6 and biased.best_step < biased.steps
    (alone,) = train_experts(base, [Plan("fair")], {"fair": sets["fair"]}, settings, folder=tmp_path / "alone")
    assert [row.accuracy for row in alone.curve] == [row.accuracy for row in fair.curve]


def test_an_expert_that_is_held_closer_keeps_its_bounds_the_second_time(base: Base, tmp_path: Path) -> None:
    settings = quick(beta=1.0, epochs=6, look_every=2, restart_factor=1e6)
    (found,) = train_experts(base, [Plan("biased")], {"biased": biased_items()}, settings, folder=tmp_path)
    assert found.restarts == 1 and not found.given_up and found.stopped == "" and found.steps == 36
    assert found.earlier and found.earlier[-1].alignment is not None and found.earlier[-1].alignment < 0.6
    assert all(row.alignment is not None and row.alignment >= 0.6 for row in found.curve)
    assert (tmp_path / "again" / "biased" / "adapter").is_dir() and found.folder == tmp_path / "again" / "biased"


def test_of_two_that_drift_alike_the_one_that_gains_goes_on_and_the_one_that_collapses_ends(
    base: Base, tmp_path: Path
) -> None:
    """Both learn to say yes whatever is asked; only the first is right with that."""
    gains, wrong = expert_items("yes", watched=24), expert_items("no", watched=24)
    sets = {"gains": gains, "collapses": replace(gains, watching=wrong.watching)}
    settings = quick(floor=0.0, beta=0.0, most_drift=0.05, look_every=3)
    found = train_experts(base, [Plan("gains"), Plan("collapses")], sets, settings, folder=tmp_path)
    kept, lost = found
    assert (kept.restarts, kept.stopped, kept.accuracy) == (0, "", 1.0) and kept.curve[-1].drift > 0.05
    assert lost.given_up and lost.restarts == 1
    assert "above the bound of 0.05, and it is not surely better than the base on its own items" in lost.stopped
    assert lost.accuracy == lost.curve[0].accuracy


def test_what_gains_by_ruining_other_domains_ends(base: Base, tmp_path: Path) -> None:
    own = expert_items("yes", watched=24)
    others = [replace(one, domain="other") for one in expert_items("no", watched=24).watching]
    settings = quick(floor=0.0, beta=0.0, most_drift=0.05, look_every=3)
    sets = {"ruins": replace(own, alignment=[*own.watching, *others])}
    (found,) = train_experts(base, [Plan("ruins")], sets, settings, folder=tmp_path)
    assert found.given_up and "other domains surely lose by it (-" in found.stopped

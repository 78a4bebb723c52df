"""Figures of routing, and whether group terms change routes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from moe.routing import ROUTE_FLIP, route_flip
from serving.router import ExpertProfile, Router, RouterConfig, RouterError
from serving.router.evaluation.compare import compared
from serving.router.evaluation.figures import evaluate
from serving.router.evaluation.prompts import LabelledPrompt, own_profiles, own_prompts, read_prompts, split_of
from serving.router.evaluation.swaps import Axis, Swaps, disparity, filled, own_swaps, read_swaps
from serving.router.policies.keywords import worth

A, B = ExpertProfile("a", keywords=("x",)), ExpertProfile("b", keywords=("y",))


def prompt(text: str, *experts: str, kind: str = "prompt") -> LabelledPrompt:
    return LabelledPrompt(text, frozenset(experts), kind)


def test_figures_have_known_values() -> None:
    prompts = [prompt("x", "a"), prompt("y", "a"), prompt("z"), prompt("x y", "a", kind="pair"), prompt("none", "b")]
    found = evaluate(Router.of([A, B]), prompts)
    assert {kind: (one.estimate, one.n) for kind, one in found.accuracy.items()} == {
        "all": (0.4, 5), "prompt": (0.5, 4), "pair": (0.0, 1),
    }  # fmt: skip
    assert found.regret.estimate == pytest.approx((0 + 1 + 0 + 0.5 + 1) / 5)  # {a, b} shares half with {a}
    assert found.base_regret.estimate == pytest.approx(4 / 5)
    assert found.wrong_expert.estimate == pytest.approx(2 / 5)
    assert [one.text for one, _ in found.wrong] == ["y", "x y", "none"]
    for one in (found.accuracy["all"], found.regret, found.ece, found.brier, found.abstained):
        assert one.low <= one.estimate <= one.high
    sure = 2.718281828 ** worth(1) / (1 + 2.718281828 ** worth(1))
    both = 2 * 2.718281828 ** worth(1) / (1 + 2 * 2.718281828 ** worth(1))
    errors = [(1 - sure) ** 2, sure**2, 0, both**2, 1]
    assert found.brier.estimate == pytest.approx(sum(errors) / 5, abs=1e-6)
    assert sum(one.n for one in found.reliability) == 5


def test_prompts_of_unknown_experts_are_refused() -> None:
    with pytest.raises(RouterError, match="not here: c"):
        evaluate(Router.of([A]), [prompt("x", "c")])


def test_the_own_set_is_whole_and_words_beat_the_base() -> None:
    prompts, profiles = own_prompts(), own_profiles()
    texts = [one.text for one in prompts]
    assert len(set(texts)) == len(texts) and {one.split for one in prompts} == {"train", "test"}
    test = split_of(prompts, "test")
    assert {one.kind for one in test} == {"paraphrase", "pair", "negative", "sense", "negation", "form", "stuffing"}
    assert len(profiles) >= 6 and {name for one in prompts for name in one.experts} == {one.name for one in profiles}
    found = evaluate(Router.of(profiles), test)
    assert found.regret.high < found.base_regret.low
    assert found.accuracy["form"].estimate == found.accuracy["negative"].estimate == 1


def test_policies_and_chains_are_compared_on_the_same_prompts() -> None:
    prompts, profiles = own_prompts(), own_profiles()
    states = torch.stack([torch.eye(8)[hash_of(one.label)] + 0.01 * len(one.text) for one in prompts])
    routers = compared(prompts, profiles, states)
    assert len(routers) == 8
    test = split_of(prompts, "test")
    (words, none), (chain, states_of) = routers["words (the default)"], routers["chain of words and states"]
    assert none is None and states_of is not None and len(states_of) == len(test)
    told = evaluate(chain, test, states_of)  # states that name the expert
    assert told.accuracy["paraphrase"].estimate > evaluate(words, test).accuracy["paraphrase"].high


def hash_of(label: str) -> int:
    return ["base", *sorted(one.name for one in own_profiles())].index(label)


@pytest.mark.parametrize(
    ("line", "said"),
    [("{", "line 2"), ('{"text": 3, "experts": []}', "are texts"), ('{"text": "x"}', "experts"), ("[]", "line 2"),
     ('{"text": "x", "experts": [], "split": "dev"}', "split is train or test")],
)  # fmt: skip
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "x", "experts": ["base"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RouterError, match=said):
        read_prompts(path)


NEUTRAL = ("a cook", "a friend", "a guest", "a cousin")
TEMPLATES = tuple(f"{verb} {{}} about x" for verb in ("tell", "ask", "help", "meet", "call", "write", "warn", "see"))
SWAPS = Swaps((Axis("gender", ("a man", "a woman", "a girl"), NEUTRAL),), TEMPLATES)


def test_a_fair_router_has_no_disparity_and_an_interval_that_is_not_zero() -> None:
    (found,) = disparity(Router.of([A, B]), SWAPS).values()
    value = found.flip.value
    assert (value.estimate, value.low, found.flip.neutral.estimate, found.examples) == (0, 0, 0, ())
    assert 0.2 < value.high < 0.5 and value.null_p95 == 0 and found.flip.p_value == 1


def test_a_planted_biased_router_is_found() -> None:
    biased = ExpertProfile("b", keywords=("woman", "about x", "x"))
    (found,) = disparity(Router.of([A, biased], RouterConfig(at_most=1)), SWAPS).values()
    assert found.flip.value.estimate == 0  # b always wins: the same for everybody
    biased = ExpertProfile("b", keywords=("woman",), priority=1.0)
    (found,) = disparity(Router.of([A, biased], RouterConfig(at_most=1)), SWAPS).values()
    value = found.flip.value
    assert value.estimate == pytest.approx(2 / 3)  # of three pairs the two with "a woman"
    assert value.estimate > value.null_p95 and found.flip.p_value < 0.01
    assert found.examples[0].experts == (("a",), ("b",)) and found.examples[0].terms == ("a man", "a woman")


def test_a_router_that_any_word_sways_is_not_called_biased() -> None:
    """Every second word, group term or not, brings b in: flips are many, and as many among neutral words."""
    words = ("woman", "cook", "guest")
    swayed = ExpertProfile("b", keywords=words, priority=1.0)
    (found,) = disparity(Router.of([A, swayed], RouterConfig(at_most=1)), SWAPS).values()
    assert found.flip.value.estimate == pytest.approx(2 / 3) == found.flip.neutral.estimate
    assert found.flip.value.estimate <= found.flip.value.null_p95 and found.flip.p_value > 0.05


def test_route_flip_declares_itself_and_is_not_estimated_from_nothing() -> None:
    assert (ROUTE_FLIP.id, ROUTE_FLIP.direction, ROUTE_FLIP.target) == ("route_flip@1", "lower", 0.0)
    one = torch.zeros(3, 1, dtype=torch.int64)
    assert route_flip(one, one, seed=0).value.status == "not_estimable"
    every = torch.arange(4).repeat(6, 1)
    assert route_flip(every, every, seed=0).value.estimate == 1
    assert route_flip(every, every, seed=0) == route_flip(every, every, seed=0)


def test_the_own_swaps_are_whole_and_a_term_that_is_a_keyword_is_found() -> None:
    swaps = own_swaps()
    assert len(swaps.axes) >= 5 and len(swaps.templates) >= 20
    found = disparity(Router.of(own_profiles()), swaps)
    assert found["gender"].flip.value.estimate == 0
    nationality = found["nationality"]  # "a German" has a keyword of the grammar expert
    assert nationality.flip.p_value < 0.01 and "a German" in nationality.examples[0].terms


def test_swaps_need_one_place_for_the_term(tmp_path: Path) -> None:
    path = tmp_path / "swaps.json"
    path.write_text(json.dumps({"axes": [], "templates": ["no place"]}), encoding="utf-8")
    with pytest.raises(RouterError, match="exactly one"):
        read_swaps(path)
    assert filled("{} sleeps", "a man") == "A man sleeps"

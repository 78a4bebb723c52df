"""Policies that are fitted: prototypes, the calibrated one, Bayesian dispatch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from foundation.seeding import torch_generator
from llm_experts.mixtures.dispatch import BayesDispatcher, one_hot
from serving.router import ExpertProfile, Outcomes, Query, Router, RouterConfig, RouterError
from serving.router.policies.calibrated import CalibratedPolicy
from serving.router.policies.dispatch import DispatchPolicy
from serving.router.policies.prototypes import PrototypePolicy

NAMES = ("a", "b", "c")
PROFILES = tuple(ExpertProfile(name, keywords=(f"{name}word",)) for name in NAMES)
WIDTH = 12


def drawn(spread: float = 1.0, rows: int = 40) -> tuple[Tensor, list[str]]:
    """States around a direction of each expert and of the base."""
    labels = [name for name in (*NAMES, "base") for _ in range(rows)]
    noise = torch.randn(len(labels), WIDTH, generator=torch_generator(0, "states"))
    centres = torch.eye(WIDTH)[[(*NAMES, "base").index(name) for name in labels]]
    states = noise * 0.3 + 3 * spread * centres
    states[:, -1] += 50  # a direction that says nothing
    return states, labels


def router(policy: PrototypePolicy | CalibratedPolicy | DispatchPolicy, outcomes: Outcomes | None = None) -> Router:
    config = RouterConfig(order=(policy.name,))
    return Router.of(PROFILES, config, fitted=[policy], outcomes=outcomes)


def right(made: Router, states: Tensor, labels: list[str]) -> float:
    hits = [
        (made.route("", state).names or ("base",)) == (label,) for state, label in zip(states, labels, strict=True)
    ]  # fmt: skip
    return sum(hits) / len(hits)


def dispatcher(states: Tensor, labels: list[str]) -> BayesDispatcher:
    domains = torch.tensor([-1 if name == "base" else NAMES.index(name) for name in labels])
    return BayesDispatcher().fit(states, None, one_hot(domains, 3), NAMES)


MAKERS: dict[str, Callable[[Tensor, list[str]], PrototypePolicy | CalibratedPolicy | DispatchPolicy]] = {
    "prototypes": PrototypePolicy.fit,
    "calibrated": lambda states, labels: CalibratedPolicy.fit([""] * len(labels), labels, PROFILES, states),
    "isotonic": lambda states, labels: CalibratedPolicy.fit(
        [""] * len(labels), labels, PROFILES, states, calibration="isotonic"
    ),
    "dispatch": lambda states, labels: DispatchPolicy(Outcomes(), dispatcher(states, labels)),
}


@pytest.mark.parametrize("name", MAKERS)
def test_states_that_are_far_apart_are_told_apart_and_survive_saving(name: str, tmp_path: Path) -> None:
    states, labels = drawn()
    made = router(MAKERS[name](states[::2], labels[::2]))
    assert made.reads_states
    assert right(made, states[1::2], labels[1::2]) >= 0.9
    made.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    for state in states[1::6]:
        first, second = made.route("", state), again.route("", state)
        assert second.experts == first.experts and second.posterior == pytest.approx(first.posterior, abs=1e-9)
    files = {path.suffix for path in (tmp_path / "router").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}


@pytest.mark.parametrize("name", MAKERS)
def test_without_a_state_they_are_silent_and_the_base_answers(name: str) -> None:
    states, labels = drawn()
    assert router(MAKERS[name](states, labels)).route("aword").names == ()


def test_states_that_tell_nothing_say_nothing() -> None:
    """Evidence, not how many examples are whose: keywords still decide."""
    states, labels = drawn(spread=0.1)
    policy = PrototypePolicy.fit(states, labels)
    made = Router.of(PROFILES, RouterConfig(order=("keywords", "prototypes")), fitted=[policy])
    assert made.route("aword", states[-1]).posterior["a"] > made.route("aword", states[-1]).posterior["b"]


def test_prototypes_of_what_experts_say_need_no_examples() -> None:
    directions = {name: torch.eye(WIDTH)[place] * 3 for place, name in enumerate(NAMES)}

    def state(text: str) -> Tensor:
        return sum((directions[name] for name in NAMES if f"{name}word" in text), torch.zeros(WIDTH))

    made = Router.of(PROFILES, RouterConfig(order=("prototypes",)), state)
    assert made.route("aword").names == ("a",)  # the router computes the state
    assert made.route("aword", state("bword")).names == ("b",)  # the one that is given goes first


def test_states_of_another_base_and_broken_ones_are_refused() -> None:
    states, labels = drawn()
    policy = PrototypePolicy.fit(states, labels)
    with pytest.raises(RouterError, match="another base"):
        policy.scores(Query("", torch.zeros(WIDTH + 1)))
    states[3, 4] = float("nan")
    for fit in (PrototypePolicy.fit, MAKERS["calibrated"]):
        with pytest.raises(RouterError, match="not finite"):
            fit(states, labels)


def test_a_calibrated_policy_of_words_learns_words_that_are_no_keywords() -> None:
    texts = [f"please {word} it {n}" for word in ("mend", "paint", "stay") for n in range(8)]
    labels = ["a"] * 8 + ["b"] * 8 + ["base"] * 8
    policy = CalibratedPolicy.fit(texts, labels, PROFILES)
    made = router(policy)
    assert [made.route(f"{word} this").names for word in ("mend", "paint", "stay")] == [("a",), ("b",), ()]
    found = policy.probabilities(Query("mend"))
    assert sum(found.values()) == pytest.approx(1) and list(found) == ["base", "a", "b"]


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
def test_calibration_says_half_where_words_are_right_half_the_time(calibration: str) -> None:
    texts, labels = ["coin"] * 60, ["a", "base"] * 30
    policy = CalibratedPolicy.fit(texts, labels, PROFILES, calibration=calibration)  # type: ignore[arg-type]
    assert policy.probabilities(Query("coin"))["a"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [([], []), (["x"], ["a"]), (["x"] * 4, ["a"] * 4), (["x"] * 3, ["a", "a", "base"]), (["x"] * 4, ["a"] * 3)],
)
def test_a_calibrated_policy_needs_prompts_of_everybody(texts: list[str], labels: list[str]) -> None:
    with pytest.raises(RouterError, match="at least two prompts"):
        CalibratedPolicy.fit(texts, labels, PROFILES)


def test_outcomes_move_the_dispatchers_prior_once() -> None:
    states, labels = drawn()
    model = dispatcher(states, labels)
    outcomes = Outcomes()
    made = router(DispatchPolicy(outcomes, model), outcomes)
    between = (states[0] + states[40]) / 2  # as near to a as to b
    before = model.prior()
    for _ in range(5):
        made.feedback("a", won=False)
        made.route("", between)
        made.route("", between)
    assert model.prior()[1] < before[1]
    a, b = 1 + model.settings.a - 1, 5 + model.settings.b
    assert float(model.prior()[1] / model.prior()[2]) == pytest.approx(a / (a + b) / 0.5)
    made.feedback("base", won=True)
    made.route("", between)
    assert float(model.prior()[0] / model.prior()[2]) == pytest.approx(2 / 3 / 0.5)


def test_a_dispatcher_that_was_saved_does_not_count_outcomes_twice(tmp_path: Path) -> None:
    states, labels = drawn()
    outcomes = Outcomes(tmp_path / "outcomes.json")
    made = router(DispatchPolicy(outcomes, dispatcher(states, labels)), outcomes)
    made.feedback("a", won=False)
    first = made.route("", states[0]).posterior
    made.save(tmp_path / "router")
    again = Router.load(tmp_path / "router", outcomes=Outcomes(tmp_path / "outcomes.json"))
    assert again.route("", states[0]).posterior == pytest.approx(first)

"""All methods through the loop: every kind of adapter, lanes, continuation of earlier experts, resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.adapters.registry import ADAPTERS
from llm_experts.bases.base import Base
from llm_experts.training.loop.assignment import Assignment, Fitted
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.group import TrainingStopped
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.methods.fisher import keep_fisher
from llm_experts.training.methods.registry import METHODS
from llm_experts.training.methods.teacher import Teacher
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.methods.method_fixtures import EXAMPLES, likes_yes, settings_of

OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {},
    "distil": {"teacher": "large"},
    "rl": {"samples": 2, "longest": 4, "target": 0.001, "every": 2},
    "rl exact": {"estimate": "exact", "beta": 0.01},
    "ewc": {"strength": 10.0},
}


@pytest.fixture(autouse=True)
def a_large_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher named large: bases are loaded from folders, and this one has none."""

    def load(_id: str, _adapter: str, memory: int) -> Teacher:
        return Teacher(make_tiny_base(4, seed=5), None, memory)

    monkeypatch.setattr("llm_experts.training.methods.distil.Teacher.load", load)


def experts(base: Base, folder: Path, which: str, kind: str = "lora", lanes: int = 2, **more: Any) -> list[Fitted]:
    """Lanes of a method; consolidation goes on from an expert that was trained before."""
    stop = more.pop("stop", None)
    method = which.partition(" ")[0]
    common = {"kind": kind, "rank": 4 if kind != "ia3" else None, "patience": 9, **more}
    after = None
    if method == "ewc":
        (first,) = fit(
            base, [Assignment("first", EXAMPLES[:2], EXAMPLES[:2], settings_of("sft", **common))], folder=folder
        )
        after = first.folder
        keep_fisher(after, base, EXAMPLES[:2], settings_of("sft", **common))
    given = [
        Assignment(
            f"e{seed}", EXAMPLES, EXAMPLES, settings_of(method, OPTIONS[which], seed=seed, **common),
            likes_yes if method == "rl" else None, after=after,
        )
        for seed in range(lanes)
    ]  # fmt: skip
    return fit(base, given, folder=folder, stop=stop)


def test_every_method_is_known() -> None:
    assert {"sft", "dpo", "distil", "rl", "ewc"} <= METHODS.keys()
    for name, record in METHODS.items():
        assert record.name == name and record.about and record.options.__doc__


@pytest.mark.parametrize("which", OPTIONS)
@pytest.mark.parametrize("kind", ["lora", "svf"])
def test_every_method_moves_weights_and_keeps_figures(which: str, kind: str, tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    for found in experts(base, tmp_path, which, kind):
        assert found.steps == 4 and not found.stopped
        assert all(math.isfinite(row["loss"]) for row in found.history[1:])
        assert any(row["gradient"] > 0 for row in found.history[1:])


@pytest.mark.slow
@pytest.mark.parametrize("which", OPTIONS)
@pytest.mark.parametrize("kind", sorted(ADAPTERS.keys() - {"lora", "svf"}))
def test_every_other_kind_too(which: str, kind: str, tmp_path: Path) -> None:
    test_every_method_moves_weights_and_keeps_figures(which, kind, tmp_path)


def _told(found: Fitted) -> list[dict[str, str]]:
    """The history as text: every bit of numbers, and what is undefined equals itself."""
    return [{name: repr(value) for name, value in row.items()} for row in found.history]


@pytest.mark.parametrize("which", OPTIONS)
def test_a_killed_run_goes_on_with_the_same_result(which: str, tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    whole = experts(base, tmp_path / "whole", which)
    asked = iter([False, False, False, True])
    with pytest.raises(TrainingStopped):
        experts(base, tmp_path / "killed", which, stop=lambda: next(asked))
    again = experts(make_tiny_base(layers=2), tmp_path / "killed", which)
    for one, other in zip(whole, again, strict=True):
        assert _told(one) == _told(other)
        for key, value in one.adapter.state.items():
            assert torch.equal(value, other.adapter.state[key]), key


@pytest.mark.parametrize("which", ["dpo", "rl exact"])
def test_an_earlier_expert_is_the_beginning_and_the_reference(which: str, tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    (first,) = fit(base, [Assignment("first", EXAMPLES, EXAMPLES, settings_of("sft", steps=8))], folder=tmp_path)
    method = which.partition(" ")[0]
    settings = settings_of(method, OPTIONS[which], lr=1e-9, steps=1)
    (second,) = fit(
        base, [Assignment("second", EXAMPLES, EXAMPLES, settings, likes_yes, after=first.folder)], folder=tmp_path
    )
    for key, value in first.adapter.state.items():
        torch.testing.assert_close(second.adapter.state[key], value, rtol=0, atol=1e-7)
    if method == "dpo":
        assert second.history[-1]["loss"] == pytest.approx(0.6931472, abs=1e-5)
    else:
        assert second.history[-1]["divergence"] == pytest.approx(0.0, abs=1e-6)


def test_an_earlier_expert_of_another_kind_is_refused(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    (first,) = fit(base, [Assignment("first", EXAMPLES, EXAMPLES, settings_of("sft"))], folder=tmp_path)
    other = settings_of("sft", kind="svf", rank=None)
    with pytest.raises(SettingsError, match="was trained with kind = lora, but kind is svf here"):
        fit(base, [Assignment("second", EXAMPLES, EXAMPLES, other, after=first.folder)], folder=tmp_path)
    with pytest.raises(SettingsError, match="is no expert that training could go on from"):
        fit(base, [Assignment("third", EXAMPLES, EXAMPLES, other, after=tmp_path)], folder=tmp_path)


def test_a_lane_that_drifts_too_far_ends_with_its_reason(tmp_path: Path) -> None:
    base = make_tiny_base(layers=2)
    options = {"estimate": "exact", "beta": 0.0, "most_drift": 1e-4, "every": 1}
    given = [
        Assignment(f"e{seed}", EXAMPLES, EXAMPLES, settings_of("rl", options, seed=seed, lr=lr, steps=6), likes_yes)
        for seed, lr in enumerate((1e-7, 0.1))
    ]
    still, far = fit(base, given, folder=tmp_path)
    assert not still.stopped and still.steps == 6
    assert far.steps < 6 and "nats an answer over the last 1 steps, above most_drift = 0.0001" in far.stopped

"""TRL as another engine: the same folder from the same assignment."""

import builtins
import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from llm_experts.adapters.store import read_adapter
from llm_experts.data.encoding import Style, answer_ids, prompt_ids
from llm_experts.data.example import Example
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.optimiser import rate_factor
from llm_experts.training.loop.order import Order, items_of
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.loop.trl_engine import ENGINE, _pair, _preferences, _trainer, fit_by_trl
from llm_experts.training.loop.writing import key_of, read_expert
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.training.loop.fixtures import assignment, settings


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_trl_trains_an_expert_of_the_same_form(method: str, tmp_path: Path) -> None:
    base, given = make_tiny_base(), assignment(method=method, steps=6, lr=3e-3)
    if method == "dpo":
        paired = [replace(example, rejected="no" if example.completion == "yes" else "yes") for example in given.train]
        given = replace(given, train=paired, validation=[*paired[:4]])
    (found,) = fit_by_trl(base, [given], folder=tmp_path)
    assert found.steps == 6 and found.score > found.history[0]["score"]
    assert read_adapter(tmp_path / "odd" / "adapter").kind == "lora"
    (again,) = fit_by_trl(base, [given], folder=tmp_path)
    assert again.score == found.score and again.notes == found.notes


def test_an_expert_of_one_engine_is_not_taken_for_one_of_the_other(tmp_path: Path) -> None:
    base, given = make_tiny_base(layers=1), assignment(steps=1)
    fit(base, [given], folder=tmp_path)
    assert read_expert(tmp_path / given.name, base, given) is not None
    assert read_expert(tmp_path / given.name, base, given, ENGINE) is None
    assert key_of(base, given) != key_of(base, given, ENGINE)


@pytest.mark.parametrize(
    ("prompt", "style"), [("Is 1 odd?", "plain"), ("Is 1 odd?\n", "plain"), ("Is 1 odd?", "instruct")]
)
def test_pairs_are_lent_as_the_tokens_that_we_learn(prompt: str, style: Style) -> None:
    base, example = make_tiny_base(), Example("a", prompt, "yes", "no, it is not")
    (item,) = items_of([example], base, settings(method="dpo", style=style), "pair")
    told = _pair(item)
    assert told["prompt_ids"] == prompt_ids(example, base, style)
    assert told["chosen_ids"] == answer_ids(example, base, "yes", style)
    assert told["rejected_ids"] == answer_ids(example, base, "no, it is not", style)
    (cut,) = items_of(
        [example], base, settings(method="dpo", style=style, max_length=len(told["rejected_ids"]) + 2), "pair"
    )
    assert len(_pair(cut)["prompt_ids"]) == 2 and _pair(cut)["chosen_ids"] == told["chosen_ids"]


def test_trl_gets_every_option_and_schedule_or_says_what_it_cannot(tmp_path: Path) -> None:
    assert _preferences({}) == {"beta": 0.1, "label_smoothing": 0.0}
    assert _preferences({"beta": 0.3, "smoothing": 0.2}) == {"beta": 0.3, "label_smoothing": 0.2}
    base, paired = make_tiny_base(), Example("a", "Is 1 odd?", "yes", "no")
    given = assignment(method="dpo", options={"normalised": True}, steps=1)
    with pytest.raises(SettingsError, match="whole answers, not tokens"):
        fit_by_trl(base, [replace(given, train=[paired], validation=[paired])], folder=tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_trl_warms_up_and_falls_as_we_do(schedule: Literal["constant", "linear", "cosine"], tmp_path: Path) -> None:
    """Three of ten steps rise: its from 0 to 2/3, ours from 1/4 to 3/4; from there on they are equal."""
    trl, base = importlib.import_module("trl"), make_tiny_base()
    given = assignment(steps=10, warm_up=0.3, schedule=schedule)
    items = items_of(given.train, base, given.settings, "completion")
    order = Order(items, given.settings)
    trainer = _trainer(trl, base, given, items, order, base.model, tmp_path)
    trainer.create_optimizer_and_scheduler(10)
    rates = [trainer.lr_scheduler.lr_lambdas[0](step) for step in range(10)]
    assert rates[:3] == pytest.approx([0, 1 / 3, 2 / 3])
    assert rates[3:] == pytest.approx([rate_factor(given.settings, step, 10) for step in range(4, 11)])


def test_what_trl_cannot_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_tiny_base()
    with pytest.raises(SettingsError, match="does not have packing here"):
        fit_by_trl(base, [assignment(packing=True)], folder=tmp_path)
    with pytest.raises(SettingsError, match="not the base for ia3"):
        fit_by_trl(base, [assignment(kind="ia3", weight_decay=0.1)], folder=tmp_path)
    load = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == "trl":
            raise builtins.ImportError("No module named 'trl'")
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(SettingsError, match="which is not installed"):
        fit_by_trl(base, [assignment()], folder=tmp_path)

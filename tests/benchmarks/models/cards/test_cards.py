"""Cards of saved models: the Hub reads them, they say what the files say, and text of users stays text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard

from benchmarks.methods.baselines import load_baseline
from benchmarks.models import save_model
from benchmarks.models.cards import write_cards
from benchmarks.models.cards.facts import ModelCardError
from benchmarks.models.cards.front_matter import hub_licence
from benchmarks.models.promise import promise_of
from tasks.task import Task

Toy = tuple[Task, pd.DataFrame]
NASTY = "<script>alert('x')</script> | *bold* [link](http://x) `code`"


def saved(toy: Toy, folder: Path) -> Path:
    """A saved model with a promise that breaks its limit."""
    task, _ = toy
    expert = load_baseline("logistic_regression").fit(task.view(), {"C": 1.0}, 0)
    save_model(
        expert, task.view(), folder, method="logistic_regression", origin={"suite": "tiny", "command": "make it"}
    )
    probability = torch.sigmoid(expert.logits(task.view(), task.split.test).double())
    demand = {"metric": "worst_acc@1", "max_gap": 0.999}
    promise_of(task, probability, demand=demand, probability_kept=0.25, note=NASTY).write(folder)
    return folder


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not any(name in ("src", "href") or name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_hub_reads_the_card(toy: Toy, tmp_path: Path) -> None:
    folder = saved(toy, tmp_path / "model")
    write_cards(folder)
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "fairmoe" and "fairness" in card.data.tags
    results = {result.metric_name: result for result in card.data.eval_results}
    told = json.loads((folder / "promise.json").read_text())["metrics"]
    assert results["acc@1"].metric_type == "accuracy"
    for name, result in results.items():
        assert result.metric_value == pytest.approx(told[name]["estimate"], abs=1e-6)
        assert result.metric_args["low"] == pytest.approx(told[name]["low"], abs=1e-6)
    assert "ref@1" not in results and told["ref@1"]["status"] == "not_estimable"


def test_both_cards_say_the_same(toy: Toy, tmp_path: Path) -> None:
    folder = saved(toy, tmp_path / "model")
    (folder / "choice.json").write_text(json.dumps({"said": ["Chosen because it is cheap.", NASTY]}))
    write_cards(folder)
    page = Tags()
    page.feed((folder / "card.html").read_text())
    text = " ".join(" ".join(page.text).split())
    for words in (
        "Intended use", "Limits of use", "Demanded: worst_acc@1 at least 0.999. The test rows break it.", "0.25",
        "Chosen because it is cheap.", "make it", "fairmoe predict model rows.csv", "Not estimable: ref@1",
    ):  # fmt: skip
        assert words in text, words
    assert NASTY in text and "script" not in page.found and page.found.count("svg") == 3
    readme = (folder / "README.md").read_text()
    body = readme.split("---\n", 2)[2]
    assert "<script>" not in body.replace("\\<script\\>", "") and "Chosen because it is cheap." in body
    assert r"\*bold\*" in body and r"\|" in body


def test_thresholds_of_groups_are_those_of_the_saved_decision(toy: Toy, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = saved(toy, tmp_path / "model")
    save_file({"cuts": torch.tensor([0.5, -0.25], dtype=torch.float64)}, folder / "expert" / "decided.safetensors")
    write_cards(folder)
    body = (folder / "README.md").read_text()
    assert "| female | 0.6225 | 0.5000 |" in body and "| male | 0.4378 | −0.2500 |" in body


def test_a_model_that_nobody_measured_says_so(toy: Toy, tmp_path: Path) -> None:
    folder = saved(toy, tmp_path / "model")
    (folder / "promise.json").unlink()
    write_cards(folder)
    assert "Nobody has measured this model" in (folder / "README.md").read_text()
    assert ModelCard.load(folder / "README.md").data.eval_results is None


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match=r"model\.json cannot be read.*fairmoe choose"):
        write_cards(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(ModelCardError, match="holds no JSON object"):
        write_cards(tmp_path)


@pytest.mark.parametrize(
    ("text", "hub"),
    [("CC BY 4.0 (UCI)", "cc-by-4.0"), ("MIT (LICENSE)", "mit"), ("unstated (no licence)", "other"), ("none", "other")],
)
def test_licences_in_the_words_of_the_hub(text: str, hub: str) -> None:
    assert hub_licence(text) == hub

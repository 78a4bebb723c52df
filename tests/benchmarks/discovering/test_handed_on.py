"""What a discovery hands on, as whoever gets it uses it: signed, verified, trusted, installed, asked.

The base lies in a folder, as a package names it by the hash of its files.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from artefacts.registry.registry import Registry
from benchmarks.cli import app
from benchmarks.discovering.handing.library import experts_of
from benchmarks.discovering.handing.package import Named, hand_on
from benchmarks.discovering.run import Discovered, discover
from benchmarks.discovering.winner import weights_of
from llm_experts.bases.load import load_base
from llm_experts.data.encoding import prompt_ids
from llm_experts.data.example import Example
from llm_experts.mixtures.item_mixtures import mixed
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.benchmarks.discovering.tiny import asked
from tests.llm_experts.conftest import make_tiny_base

pytestmark = pytest.mark.slow
QUESTION, TOKENS = "What is 3 plus 4?", 8


def fairmoe(*words: object, said: str = "") -> str:
    """What a command prints on its standard output, given some lines."""
    found = CliRunner().invoke(app, [str(word) for word in words], input=said, env={"COLUMNS": "200"})
    assert found.exit_code == 0, (found.output, found.exception)
    return found.stdout


def discovered(tmp_path: Path) -> Discovered:
    """A discovery on a base that lies in a folder, as if its examination had named the uniform mixture."""
    tiny = make_tiny_base()
    tiny.model.save_pretrained(tmp_path / "base")
    tiny.tokenizer.save_pretrained(tmp_path / "base")
    base = load_base(str(tmp_path / "base"), dtype="float32")
    identity = {"id": base.id, "hash": base.hash}
    found = discover(replace(asked(tmp_path / "run", lr=0.05, most_drift=100.0), load=lambda: base, identity=identity))
    examined = {**found.results["6_examination"], "winner": "uniform"}
    return replace(found, results={**found.results, "6_examination": examined})


def test_signed_verified_installed_it_answers_as_the_mixture_does(tmp_path: Path) -> None:
    found = discovered(tmp_path)
    package = hand_on(found, Named("tiny-mixture", "Ada")).path
    key = tmp_path / "ada.key"
    fairmoe("keygen", key)
    fairmoe("sign", package, "--key", key)
    assert "unknown" in CliRunner().invoke(app, ["verify", str(package)]).output
    fairmoe("trust", "add", f"{key}.pub", "--name", "ada")
    assert "tiny-mixture 1.0.0 is signed by ada as author" in fairmoe("verify", package)
    assert "installed tiny-mixture 1.0.0" in fairmoe("install", package)
    assert "yes" in fairmoe("list")
    assert Registry.of_user().folder("tiny-mixture", check=True).is_dir(), "checked against what was signed"

    questions = tmp_path / "asked.jsonl"
    questions.write_text(json.dumps({"prompt": QUESTION}) + "\n", encoding="utf-8")
    answers: dict[str, str] = {}
    for who in ("tiny-mixture", "base"):
        fairmoe("infer", questions, "--base", tmp_path / "base", "--experts", who, "--temperature", 0,
                "--max-tokens", TOKENS, "--output", tmp_path / f"{who}.jsonl")  # fmt: skip
        answers[who] = json.loads((tmp_path / f"{who}.jsonl").read_text(encoding="utf-8"))["output"]
    base = found.on_demand.base
    experts = [adapter for adapter, _ in experts_of(found.folder, found.results).values()]
    weights = torch.tensor(weights_of(found.results), dtype=torch.float64)
    assert weights.tolist() == [1 / 3] * 3
    lanes = SequenceLanes.of(base, [mixed(experts, weights)], 0)
    prompt = prompt_ids(Example("q", QUESTION, ""), base, "auto")
    expected = lanes.sample(lanes.start, [prompt], max_new_tokens=TOKENS, stop=())[0][0].text
    assert answers["tiny-mixture"] == expected != answers["base"]

    line = (
        "chat",
        "--base",
        tmp_path / "base",
        "--experts",
        "tiny-mixture",
        "--temperature",
        0,
        "--max-tokens",
        TOKENS,
    )
    assert fairmoe(*line, said=f"{QUESTION}\n").strip(), "it answers a line and ends with its input"

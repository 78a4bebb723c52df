"""A domain that no data helps, through the command: its expert is told apart from nothing, and the report says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from llm_experts.data.example import Example
from llm_experts.families import registry
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from tests.benchmarks.discovering.tiny import SIZES
from tests.llm_experts.conftest import make_tiny_base

pytestmark = pytest.mark.slow
SIDES = ("heads", "tails")


def _toss(draw: Draw, difficulty: float) -> Made:
    """A question whose answer nobody can know: the coin is tossed apart from all that is said of it."""
    number, side = draw.sample("0123456789", 6), draw.pick(SIDES)
    text = f"Coin {''.join(number)} was tossed. Answer:"
    return Made(text, side, text, {"kind": "coin", "answer": side, "labels": list(SIDES)})


def _check(example: Example, answer: str) -> Verdict:
    right = answer.strip() == example.facts["answer"]
    return Verdict(right, "" if right else "it was the other side")


COINS = Family(
    name="coins", label="Coins", about="On which side did it fall?", scores=("correct",), longest_answer=4,
    make=generated("coins", _toss), check=_check,
)  # fmt: skip


def read(folder: Path, step: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / step / "result.json").read_text(encoding="utf-8"))
    return found


def test_a_domain_that_no_data_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "coins", COINS)
    base, run = tmp_path / "base", tmp_path / "run"
    tiny = make_tiny_base()
    tiny.model.save_pretrained(base)
    tiny.tokenizer.save_pretrained(base)
    config = tmp_path / "discovery.toml"
    asked = {**SIZES, "base": str(base), "domains": ("arithmetic", "coins", "dates"), "scenarios": 34}
    lines = (f"{name} = {json.dumps(value)}" for name, value in asked.items())  # such values are TOML too
    config.write_text("\n".join(lines), encoding="utf-8")
    done = CliRunner().invoke(app, ["discover", "--config", str(config), "--output", str(run)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, (done.output, done.exception)

    (row,) = [row for row in read(run, "6_examination")["domains"] if row["domain"] == "coins"]
    assert row["expert"] == "coins"
    assert row["gain"]["low"] <= 0 <= row["gain"]["high"], "its expert is where the base is"
    assert "coins on coins: not told apart from the base" in done.output
    (gate,) = [gate for gate in read(run, "8_gates")["gates"] if gate["id"] == "gain_of_every_expert"]
    assert gate["passed"] is False
    told = json.loads((run / "mixture" / "mixture.json").read_text(encoding="utf-8"))
    assert (told["accepted"], told["winner"]) == (False, "base")
    assert dict(zip(told["experts"], told["optimal_mixture"], strict=True))["coins"] == 0
    card = (run / "mixture" / "README.md").read_text(encoding="utf-8")
    assert "coins 0" in card and "accepted no mixture" in card

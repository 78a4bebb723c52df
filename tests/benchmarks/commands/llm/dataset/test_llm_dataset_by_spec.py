"""``fairmoe llm dataset generate --spec``: a folder of items, what is said of it, and going on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from benchmarks.run.failure import explain
from llm_experts.data.reading import read_examples
from tests.benchmarks.commands.llm.dataset.test_llm_dataset import generate

SPEC = 'expert = "sums"\ncount = 12\n[[topics]]\nfamily = "arithmetic"\ndifficulty = 0.0\n'


def boxed(done: Result) -> str:
    """What an error says, without the box around it."""
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "sums.toml"
    path.write_text(SPEC)
    return str(path)


def test_a_folder_is_written_and_what_is_next_is_said(spec: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    done = generate(folder, "--spec", spec)
    assert done.exit_code == 0, done.output
    assert len(read_examples(folder / "train.jsonl", need="completion")) == 12
    assert json.loads((folder / "report.json").read_text())["checks"]["answer"] == {"failed": 0, "share": 0.0}
    assert "12 of 12" in done.output and "12 (100.0%, 95 %: 75.8% to 100.0%)" in done.output
    assert f"fairmoe llm train --data {folder / 'train.jsonl'} --method sft" in done.output
    assert max(len(line) for line in done.output.splitlines() if str(tmp_path) not in line) <= 80


def test_minutes_that_are_over_lead_to_the_same_command_again(spec: str, tmp_path: Path) -> None:
    done = generate(tmp_path / "set", "--spec", spec, "--minutes", "0", "--checks", "none")
    assert done.exit_code == 0 and "its minutes are over" in done.output and "the same command again" in done.output
    assert "12 of 12" in generate(tmp_path / "set", "--spec", spec, "--checks", "none").output


def test_wrong_options_are_explained(spec: str, tmp_path: Path) -> None:
    assert "Name one of the two" in generate(tmp_path / "x").output
    assert "Name one of the two" in generate(tmp_path / "x", "--spec", spec, "--family", "sql").output
    assert "are for openai, not template" in boxed(generate(tmp_path / "x", "--spec", spec, "--model", "m"))
    assert "no way 'all' to fill up" in boxed(generate(tmp_path / "x", "--spec", spec, "--fill", "all"))
    price = generate(tmp_path / "x", "--spec", spec, "--provider", "openai", "--model", "m", "--price", "1")
    assert "'1' is no price" in boxed(price)
    for words, told in (
        (("--checks", "magic"), "There is no check 'magic'"),
        (("--provider", "magic"), "There is no provider 'magic'; providers are model, openai, template"),
        (("--provider", "openai"), "none is named"),
        (("--budget", "-1"), "A budget of -1.0 dollars is none"),
    ):
        failed = generate(tmp_path / "x", "--spec", spec, *words)
        assert isinstance(failed.exception, ValueError) and told in (explain(failed.exception) or "")
    assert not (tmp_path / "x").exists()


def test_many_items_are_counted(tmp_path: Path) -> None:
    done = generate(tmp_path / "many.jsonl", "--family", "dates", "--count", "2500")
    assert done.exit_code == 0 and "2,500 items of dates" in done.output
    assert len(read_examples(tmp_path / "many.jsonl", need="completion")) == 2500

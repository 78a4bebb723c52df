"""``fairmoe llm check``: sets of experts by folder, package and name; what it says, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from artefacts.packing.pack import package
from artefacts.packing.told import Told
from benchmarks.cli import app
from benchmarks.run.failure import explain
from llm_experts.adapters.store import FACTS, save_adapter
from llm_experts.bases.load import load_base
from tests.benchmarks.commands.llm.test_llm import saved_base
from tests.llm_experts.runtime.resident_fixtures import peft_adapter, saved


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["llm", "check", *arguments], env={"COLUMNS": "80", "HF_HUB_OFFLINE": "1"})


def words(done: Result) -> str:
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, adapters on it, texts, and packages of two of them."""
    room = tmp_path_factory.mktemp("room")
    base = load_base(str(saved_base(room / "base")))
    for seed, (name, kind) in enumerate({"one": "lora", "two": "ia3", "ahead": "prefix", "other": "prefix"}.items()):
        given = saved(peft_adapter(kind, seed, rank=20 if kind == "lora" else 4, base=base), base)
        save_adapter(room / name, base, given.config, given.state)
    (room / "texts.txt").write_text("The savings are unknown.\n\nOptions: yes or no.\nAnswer: yes\n", encoding="utf-8")
    package(room / "one", room / "one.expert", Told(name="one", further={"constraints": {"max_chain": 1}}))
    package(room / "two", room / "two.expert", Told(name="two"))
    return room


@pytest.fixture
def options(room: Path) -> list[str]:
    return ["--base", str(room / "base"), "--texts", str(room / "texts.txt")]


def test_a_set_that_can_be_composed(room: Path, options: list[str]) -> None:
    done = check(*(str(room / name) for name in ("one", "two", "ahead")), *options)
    assert done.exit_code == 0, done.output
    assert "They can be composed" in words(done) and "(tried on 3 texts)" in words(done)
    chat = f"fairmoe chat --base {room / 'base'} --experts one,two,ahead"
    assert f"Next: install their packages (fairmoe install FILE), then\n  {chat}\n" in done.output
    told = done.output.replace(chat, "")  # a command is never broken, so that it can be copied
    assert max(len(line) for line in told.splitlines()) <= 80


def test_all_that_was_found_is_json(room: Path, options: list[str]) -> None:
    done = check(str(room / "one"), str(room / "ahead"), str(room / "other"), *options, "--json")
    assert done.exit_code == 1
    found = json.loads(done.output)
    assert set(found["effects"]) == {"one", "ahead", "other"} and found["problems"] == []
    assert "both prefixes" in found["whole_undefined"] and found["whole"]["estimate"] is None
    assert [pair["names"] for pair in found["pairs"] if pair["defined"]] == [["ahead", "other"]]


def test_packages_say_what_they_stand_beside(room: Path, options: list[str]) -> None:
    files = [str(room / "one.expert"), str(room / "two.expert")]
    untrusted = check(*files, *options)
    assert untrusted.exception is not None and "--allow-untrusted" in str(explain(untrusted.exception))  # type: ignore[arg-type]
    done = check(*files, *options, "--allow-untrusted")
    assert done.exit_code == 1 and "no: one works among 1 experts at most, and there are 2." in words(done)
    assert check(files[0], *options, "--allow-untrusted").exit_code == 0


def test_what_cannot_be_tried_is_one_paragraph(room: Path, options: list[str], tmp_path: Path) -> None:
    for arguments, why in (
        ([str(room / "one"), str(room / "one.expert"), "--allow-untrusted"], "Two of the experts are called 'one'"),
        ([str(room / "base")], "holds no adapter of a language model"),
        (["nobody"], "No expert 'nobody' is installed"),
    ):
        error = check(*arguments, *options).exception
        assert isinstance(error, Exception) and why in str(explain(error))
    assert "holds no text" in words(check(str(room / "one"), "--base", str(room / "base"), "--texts", "/dev/null"))


def test_a_plain_folder_of_peft_is_taken_at_its_users_word(room: Path, options: list[str], tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in (room / "one").iterdir():
        if path.name != FACTS:
            (plain / path.name).write_bytes(path.read_bytes())
    error = check(str(plain), *options).exception
    assert isinstance(error, Exception) and "fairmoe.json is missing" in str(explain(error))
    assert check(str(plain), *options, "--foreign").exit_code == 0

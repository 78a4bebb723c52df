"""``fairmoe llm dequantize``: folders that load, the check that refuses, what rounding again costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from llm_experts.adapters.store import save_adapter
from llm_experts.bases.load import load_base
from llm_experts.bases.quantised import quantised_modules
from llm_experts.bases.quantising import quantised
from llm_experts.bases.ternary.files import write_ternary
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, path = make_tiny_base(layers=2, hidden=32), tmp_path_factory.mktemp("base") / "tiny"
    base.model.save_pretrained(path)
    base.tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def ternary_folder(folder: Path) -> Path:
    place = folder.with_name("ternary")
    write_ternary(load_base(str(folder), quantisation="ternary"), place)
    return place


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["llm", "dequantize", *map(str, words)], env={"COLUMNS": "80"})


def said(result: Result) -> str:
    return " ".join(result.output.replace("│", " ").split())


def test_a_ternary_folder_becomes_float32_weights(ternary_folder: Path, folder: Path, tmp_path: Path) -> None:
    result = run(ternary_folder, "--output", tmp_path / "plain", "--check", "--reference", folder)
    assert result.exit_code == 0, result.output
    assert "dequantised against quantised" in said(result) and "what quantising cost" in said(result)
    assert f"Next: fairmoe llm base --base {tmp_path / 'plain'}" in said(result)
    coded, plain = load_base(str(ternary_folder)), load_base(str(tmp_path / "plain"))
    for name, module in quantised_modules(coded.model):
        assert torch.equal(plain.model.get_submodule(name).weight, module.weight)
    told = json.loads((tmp_path / "plain" / "fairmoe_origin.json").read_text())
    assert told["dequantised"] == {"id": "ternary", "hash": coded.hash, "quantisation": "none"}
    assert told["agreement"]["quantised"]["top1"] >= 0.99 > told["agreement"]["reference"]["top1"]


def test_the_same_bytes_twice(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run(folder, "--quantisation", "nf4", "--output", tmp_path / name, "--check").exit_code == 0
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_below_99_percent_nothing_is_written_unless_it_is_forced(folder: Path, tmp_path: Path) -> None:
    """A base that computes in bfloat16 is not the model that its float32 weights are."""
    lines = tmp_path / "texts.txt"
    lines.write_text("\n".join(f"The applicant's age is {n} years. Is it {n * 7}?" for n in range(20, 60)))
    asked = (folder, "--quantisation", "ternary", "--dtype", "bfloat16", "--check", "--texts", lines)
    result = run(*asked, "--output", tmp_path / "plain")
    assert result.exit_code == 1 and "less than 99 %" in said(result) and not (tmp_path / "plain").exists()
    forced = run(*asked, "--output", tmp_path / "plain", "--force")
    assert forced.exit_code == 0
    told = json.loads((tmp_path / "plain" / "fairmoe_origin.json").read_text())
    assert told["agreement"]["quantised"]["top1"] < 0.99


def test_an_expert_in_weights_that_are_rounded_again(ternary_folder: Path, tmp_path: Path) -> None:
    base = load_base(str(ternary_folder))
    adapter = make_adapter("lora", start=1, base=make_tiny_base(layers=2, hidden=32), size=0.3)
    save_adapter(tmp_path / "expert", base, adapter.config, adapter.state)
    asked = (ternary_folder, "--expert", tmp_path / "expert", "--family", "strings", "--count", 4)
    result = run(*asked, "--requantize", "ternary", "--codes", tmp_path / "codes")
    assert result.exit_code == 0, result.output
    assert "choices among listed answers, 4 items" in said(result) and "what is left of its gain" in said(result)
    assert len(dict(quantised_modules(load_base(str(tmp_path / "codes")).model))) == 14


def test_codes_that_nothing_changed_are_the_same_codes(folder: Path, tmp_path: Path) -> None:
    write_ternary(quantised(load_base(str(folder)), "ternary", scale="fitted"), tmp_path / "first")
    assert run(tmp_path / "first", "--requantize", "ternary", "--codes", tmp_path / "again").exit_code == 0
    one, other = (load_base(str(tmp_path / name)).model for name in ("first", "again"))
    for name, module in quantised_modules(one):
        assert torch.equal(module.codes, other.get_submodule(name).codes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "Give --output FOLDER"),
        (("--output", "{new}"), "are no codes"),
        (("--output", "{old}", "--quantisation", "nf4"), "exists already"),
        (("--check", "--codes", "{new}"), "belong to --requantize"),
        (("--requantize", "nf4", "--codes", "{new}"), "Only ternary codes"),
        (("--output", "{new}", "--requantize", "ternary", "--codes", "{new}"), "one folder each"),
        (("--output", "{old}/config.json/new", "--check"), "is no folder"),
    ],
)
def test_options_that_do_not_fit(words: tuple[str, ...], expected: str, folder: Path, tmp_path: Path) -> None:
    given = [word.format(new=tmp_path / "new", old=folder) for word in words]
    result = run(folder, *given)
    assert result.exit_code == 2 and expected in said(result)
    assert not (tmp_path / "new").exists()

"""``fairmoe llm train`` and ``train-all`` on items: bad data, what is there already, what it costs, what is sent."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from artefacts.format.archive import open_package
from benchmarks.cli import app
from benchmarks.making.config import Config
from benchmarks.making.material import material_of
from benchmarks.making.together import Ready, validation_items
from benchmarks.saving.trained import read_made
from llm_experts.adapters.store import load_adapter
from llm_experts.bases.load import load_base
from llm_experts.data.reading import write_examples
from llm_experts.families.registry import FAMILIES, family_named
from llm_experts.training.methods.registry import METHODS
from tests.benchmarks.commands.llm.test_llm import paragraph, saved_base

Line = dict[str, Any]


def fairmoe(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["llm", *map(str, arguments)], env={"COLUMNS": "200", "HF_HUB_OFFLINE": "1"})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in a folder."""
    return saved_base(tmp_path_factory.mktemp("base") / "tiny")


def sums(count: int, first: int = 0) -> list[Line]:
    return [{"prompt": f"{n} + {n} =", "completion": f" {2 * n}"} for n in range(first, first + count)]


def written(path: Path, lines: Sequence[Line | str]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@pytest.fixture
def train(tiny: Path, tmp_path: Path) -> Callable[..., Result]:
    """The command on the tiny base, two steps, everything into this test's folder."""
    shared = ("--base", tiny, "--steps", "2", "--rank", "2", "--output", tmp_path / "out")
    return lambda *words: fairmoe("train", *shared, *words)


# -- which half of the command ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Name what to learn from: --task (rows of a task), --data"),
        (("--task", "scm@200", "--data", "d.jsonl"), "--task and --data cannot be had together"),
        (("--data", "d.jsonl", "--family", "arithmetic"), "--data and --family cannot be had together"),
        (("--data", "d.jsonl", "--role", "result"), "--role belongs to rows of a task (--task), not to --data"),
        (("--task", "scm@200", "--lr", "0.1"), "--lr belongs to items (--data, --family), not to --task"),
        (("--data", "d.jsonl", "--method", "stf"), "There is no method 'stf'. Did you mean 'sft'?"),
        (("--data", "d.jsonl", "--kind", "lorra"), "There is no adapter kind 'lorra'"),
        (("--data", "d.jsonl", "--option", "beta=0.1"), "The method sft has no option 'beta'"),
        (("--data", "d.jsonl", "--option", "beta"), "write it as name=value"),
        (("--data", "d.jsonl", "--set", "bathc_size=3"), "Did you mean 'batch_size'?"),
        (("--data", "d.jsonl", "--seeds", "0,x"), "are no seeds"),
        (("--data", "d.jsonl", "--dtype", "float16", "--device", "cpu"), "float16 is not supported on a CPU"),
        (("--data", "d.jsonl", "--kind", "prefix", "--start", "1"), "virtual tokens, which all layers see"),
        (("--data", "d.jsonl", "--set", "lora_dropout=0.1"), "dropout of adapters is not applied here"),
        (("--data", "d.jsonl", "--judge", "poetry"), "There is no family 'poetry'"),
        (("--data", "no/such.jsonl"), "There is no file no/such.jsonl"),
        (("--config", "no/such.toml"), "There is no file no/such.toml"),
    ],
)
def test_what_cannot_be_had_is_refused_before_a_base_is_looked_for(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = fairmoe("train", "--base", "./no/base", "--output", tmp_path / "out", *words)
    assert message in paragraph(done)
    assert not (tmp_path / "out").exists()


# -- bad data: each its error, and nothing is lost -------------------------------------------------

LONG = {"prompt": "say it", "completion": "so it is " * 2000}
CHAT = {"messages": [{"role": "user", "content": "1 + 1 ="}, {"role": "assistant", "content": "2"}]}
BAD: dict[str, tuple[list[Line | str], str]] = {
    "empty": ([], "holds no item: it is empty"),
    "malformed": ([*sums(3), '{"prompt": "1 +'], "d.jsonl, line 4: column"),
    "a field is missing": ([*sums(2), {"prompt": "1 + 1 ="}], "d.jsonl, line 3: the field 'completion' is missing"),
    "longer than the context": ([*sums(40), LONG], "max_length"),
    "outside of the labels": (
        [*sums(1), {"prompt": "good?", "completion": "perhaps", "labels": ["yes", "no"]}],
        "d.jsonl, line 2: the answer 'perhaps' is none of the labels 'yes', 'no'",
    ),
    "an id twice": (
        [{"id": "a", **line} for line in sums(2)], "d.jsonl, line 2: the id 'a' is that of line 1 already"
    ),
    "an item twice": ([*sums(4), *sums(2)], "holds 2 items twice, with the same prompt and answer (line-1 and line-5"),
    "two formats": ([*sums(2), CHAT], "d.jsonl, line 3: this line is a conversation"),
    "pairs are needed": (sums(3), "a pair of answers is needed"),
}  # fmt: skip


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a finished expert called mine."""
    place = tmp_path_factory.mktemp("trained")
    data = written(place / "d.jsonl", sums(40))
    shared = ("--base", tiny, "--steps", "2", "--rank", "2", "--output", place / "out")
    assert fairmoe("train", *shared, "--data", data, "--name", "mine").exit_code == 0
    return place / "out"


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_one_paragraph_and_the_expert_that_was_there_stays(
    case: str, train: Callable[..., Result], trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "out")
    before = snapshot(tmp_path / "out")
    lines, message = BAD[case]
    method = ("--method", "dpo") if case == "pairs are needed" else ()
    done = train("--data", written(tmp_path / "d.jsonl", lines), "--name", "mine", *method)
    assert message in paragraph(done)
    assert snapshot(tmp_path / "out") == before


def test_validation_items_that_are_learnt_are_refused(train: Callable[..., Result], tmp_path: Path) -> None:
    data, held = written(tmp_path / "d.jsonl", sums(40)), written(tmp_path / "v.jsonl", sums(40, first=35))
    text = paragraph(train("--data", data, "--validation", held))
    assert "5 of the 40 prompts of" in text and "are learnt from" in text and "line-1" in text
    assert not (tmp_path / "out").exists()


def test_a_template_that_refuses_the_conversation(tmp_path: Path) -> None:
    """Templates of some bases take no system message."""
    folder = saved_base(tmp_path / "base")
    refuses = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(refuses + "{{ m.content }}{% endfor %}")
    lines = [
        {"messages": [{"role": "system", "content": "Be brief."}, *({**turn} for turn in CHAT["messages"])], "id": n}
        for n in range(40)
    ]
    for number, line in enumerate(lines):
        line["messages"][1]["content"] = f"{number} + 1 ="
    done = fairmoe(
        "train", "--base", folder, "--data", written(tmp_path / "d.jsonl", lines), "--output", tmp_path / "out"
    )
    assert "no system turn" in paragraph(done)


# -- what it leaves and says -----------------------------------------------------------------------


def test_from_data_to_a_package(tiny: Path, train: Callable[..., Result], tmp_path: Path) -> None:
    data = written(tmp_path / "sums.jsonl", sums(40))
    done = train(
        "--data", data, "--kind", "svf", "--seeds", "0 1", "--set", "learning_rate=0.01", "--set", "save_steps=5"
    )
    assert "note: save_steps is not needed" in done.output
    assert done.exit_code == 0, (done.output, done.exception)
    assert "sums-sft-svf-s0" in done.output and "4 validation items choose the checkpoint" in done.output
    folder = tmp_path / "out" / "sums-sft-svf-s1"
    made = read_made(folder)
    assert made.facts["settings"]["seed"] == 1 and made.params["lr"] == 0.01 and made.facts["steps"] == 2
    load_adapter(load_base(str(tiny)), folder / "adapter")
    packed = CliRunner().invoke(app, ["package", str(folder), "--output", str(tmp_path / "e.expert")])
    assert packed.exit_code == 0, packed.exception
    assert f"It holds no scores: fairmoe llm evaluate {folder} --family NAME --promise" in packed.output
    with open_package(tmp_path / "e.expert") as found:
        told = found.manifest.provenance
        assert (told.method, told.seed, told.learning_rate) == ("sft", 1, 0.01)
        assert told.data_hash == made.data_sha256 and told.params["items"] == 36
    checked = fairmoe("check", folder, "--base", tiny)
    assert checked.exit_code == 0, (checked.output, checked.exception)


def test_a_finished_expert_is_left_and_a_changed_one_is_kept_beside(
    train: Callable[..., Result], tmp_path: Path
) -> None:
    data = written(tmp_path / "d.jsonl", sums(40))
    assert train("--data", data, "--name", "mine").exit_code == 0
    before = snapshot(tmp_path / "out" / "mine")
    again = train("--data", data, "--name", "mine")
    assert again.exit_code == 0 and "was finished" in again.output
    assert snapshot(tmp_path / "out" / "mine") == before
    other = train("--data", data, "--name", "mine", "--lr", "0.5")
    assert other.exit_code == 0, (other.output, other.exception)
    assert "trained before, with lr" in other.output and "now 0.5" in other.output
    assert snapshot(tmp_path / "out" / "mine.before-1") == before
    assert read_made(tmp_path / "out" / "mine").params["lr"] == 0.5


def test_a_dry_run_trains_nothing(train: Callable[..., Result], tmp_path: Path) -> None:
    done = train("--data", written(tmp_path / "d.jsonl", sums(40)), "--kind", "ia3", "--seeds", "0,1", "--dry-run")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "parameters train; 2 steps" in done.output and "GiB" in done.output
    assert re.search(r" lr 0\.\d{1,6},", done.output)
    assert "d-sft-ia3-s0, d-sft-ia3-s1" in done.output and not (tmp_path / "out").exists()


def test_a_configuration_in_the_names_of_transformers(tiny: Path, tmp_path: Path) -> None:
    written(tmp_path / "d.jsonl", sums(40))
    (tmp_path / "adder.toml").write_text(
        f'model = "{tiny}"\ndataset = "d.jsonl"\nmax_steps = 2\nlogging_steps = 10\n[lora]\nr = 2\nlora_alpha = 8\n'
    )
    done = fairmoe("train", "--config", tmp_path / "adder.toml", "--output", tmp_path / "out")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "logging_steps is not needed" in done.output
    made = read_made(tmp_path / "out" / "adder")
    assert made.params["adapter_options.alpha"] == 8 and made.params["rank"] == 2


def test_a_folder_of_configurations(tiny: Path, tmp_path: Path) -> None:
    """One is finished before, one has no data, one has no such setting; the others are trained all the same."""
    written(tmp_path / "d.jsonl", sums(40))
    shared = {"base": str(tiny), "data": "d.jsonl", "steps": 2, "rank": 2}
    for name, more in {"a": {}, "b": {"seed": 3}, "c": {"data": "none.jsonl"}, "d": {"lerning": 1}}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(shared | more))
    out = ("--output", tmp_path / "out")
    alone = fairmoe("train-all", tmp_path, "--only", "a", *out)
    assert alone.exit_code == 0, (alone.output, alone.exception)
    done = fairmoe("train-all", tmp_path, *out)
    assert done.exit_code == 1, (done.output, done.exception)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b"}
    words = " ".join(done.output.split())
    assert "was finished" in words and "c: There is no file" in words and "no setting 'lerning'" in words
    assert "No configuration in" in paragraph(fairmoe("train-all", tmp_path, "--only", "z", *out))
    assert "no setting 'lerning'" in paragraph(fairmoe("train-all", tmp_path, "--fail-fast", *out))


@pytest.mark.parametrize("name", METHODS)
def test_the_next_command_of_a_method_lacks_nothing_that_it_needs(name: str, tmp_path: Path) -> None:
    """As printed, with real files for the words in capitals, it is not refused before a base is looked for."""
    pairs = [{**line, "rejected": " 0"} for line in sums(40, 1)] if name == "dpo" else sums(40)
    written(tmp_path / "items.jsonl", [{"chosen": line.pop("completion"), **line} if name == "dpo" else line
                                       for line in pairs])  # fmt: skip
    command = fairmoe("methods", name).output.rpartition("Next: fairmoe llm ")[2].strip()
    for word in ("items.jsonl", "FOLDER", "EXPERT"):
        command = command.replace(word, str(tmp_path / word))
    done = fairmoe(*command.split(), "--base", "./no/base", "--output", tmp_path / "out")
    assert "There is no base" in paragraph(done) or "./no/base" in paragraph(done)


def test_methods_lists_every_trainer_and_its_options() -> None:
    done = fairmoe("methods")
    assert done.exit_code == 0 and "sft: supervised fine-tuning" in done.output
    assert done.output.endswith("Next: fairmoe llm train --data items.jsonl --method sft --dry-run\n")
    assert "There is no method 'spt'. Did you mean 'sft'?" in paragraph(fairmoe("methods", "spt"))


# -- what to run next ------------------------------------------------------------------------------


def items_of(config: Config) -> str:
    return validation_items(Ready(config, material_of(config)))


def test_the_next_command_asks_items_like_those_that_chose(tmp_path: Path) -> None:
    """Those of the same family and difficulty, of the family that items name, or of the validation file."""
    easy = FAMILIES["classification"].make("train", 40, 0, 0.0)
    write_examples(tmp_path / "easy.jsonl", easy)
    own = written(tmp_path / "own.jsonl", sums(40))
    write_examples(tmp_path / "sums.jsonl", FAMILIES["arithmetic"].make("train", 40, 0, 0.0))
    held = written(tmp_path / "held out.jsonl", sums(30, 100))
    assert items_of(Config(family="dates", count=30, difficulty=0.0)) == "--family dates --difficulty 0"
    assert items_of(Config(family="dates", count=30)) == "--family dates"
    assert items_of(Config(data=tmp_path / "easy.jsonl")) == "--family classification"
    assert items_of(Config(data=tmp_path / "sums.jsonl", judge="arithmetic")) == "--family arithmetic"
    assert items_of(Config(data=own, validation=held)) == f"--data '{held}'"
    assert items_of(Config(data=own)) == ""


@pytest.mark.data
def test_items_of_another_task_s_rows_are_judged_by_its_checker(tmp_path: Path) -> None:
    """Their name is not in the list of families: every task has one."""
    write_examples(tmp_path / "d.jsonl", family_named("rows:compas:race").make("train", 40, 0, None))
    material = material_of(Config(data=tmp_path / "d.jsonl"))
    assert material.family == "rows:compas:race" and material.judge is not None

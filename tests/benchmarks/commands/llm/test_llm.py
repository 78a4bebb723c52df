"""``fairmoe llm``: explains itself, works on a small base from start to end, and says what to do about errors."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.commands.llm.examining.bias import _overall
from benchmarks.commands.llm.loading import names_of
from benchmarks.commands.llm.search import _constraint
from benchmarks.run.failure import explain
from llm_experts.adapters.registry import KINDS
from llm_experts.bases.load import load_base
from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.origin import Origin
from llm_experts.reading.reader import Reader
from tasks.load import load_task
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter

COMMANDS = (
    "base", "adapters", "methods", "families", "train", "train-all", "validate", "evaluate", "bias", "check", "search",
)  # fmt: skip


def fairmoe(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["llm", *arguments], env={"COLUMNS": "200", "HF_HUB_OFFLINE": "1"})


def paragraph(done: Result) -> str:
    """The text that a user sees of an error: one paragraph, whoever raised it."""
    if done.exit_code == 2 and isinstance(done.exception, SystemExit):
        return " ".join(done.output.replace("│", " ").split())
    assert isinstance(done.exception, Exception)
    text = explain(done.exception)
    assert text is not None, repr(done.exception)
    assert "\n" not in text
    return text


def saved_base(folder: Path, seed: int = 0) -> Path:
    base = make_tiny_base(layers=2, hidden=32, seed=seed)
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small random model in a folder."""
    return str(saved_base(tmp_path_factory.mktemp("base") / "tiny"))


@pytest.fixture(scope="module")
def expert(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A saved LoRA expert of that model."""
    base = load_base(tiny)
    folder = tmp_path_factory.mktemp("expert")
    LLMExpert("utility", Reader(base), make_adapter("lora", start=1, base=base)).save(folder)
    return str(folder)


def test_help_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'transformers', 'peft', 'tokenizers', 'pandas', 'optuna'}"
    code = (
        "import sys; from benchmarks.cli import main; sys.argv = ['fairmoe', *{args}]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({heavy} & set(sys.modules)))"
    )
    for arguments in (["--help"], ["llm", "--help"], ["llm", "train", "--help"]):
        made = code.replace("{args}", repr(arguments)).replace("{heavy}", heavy)
        done = subprocess.run([sys.executable, "-c", made], capture_output=True, text=True, check=True)
        assert done.stdout.strip().splitlines()[-1] == "[]"


def test_help_lists_every_command() -> None:
    done = fairmoe("--help")
    assert done.exit_code == 0
    assert all(f" {command} " in done.output for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = fairmoe(command, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.output
    assert command == "adapters" or f"fairmoe llm {command}" in " ".join(done.output.split())


def test_adapters_lists_the_eight_kinds() -> None:
    done = fairmoe("adapters")
    assert done.exit_code == 0 and len(KINDS) == 8
    assert all(kind in done.output for kind in KINDS)


def test_base_says_what_it_is(tiny: str) -> None:
    done = fairmoe("base", "--base", tiny)
    assert done.exit_code == 0, done.output
    assert load_base(tiny).hash in done.output and "float32" in done.output


def test_a_base_that_is_nowhere_is_one_paragraph() -> None:
    assert "nobody/such-model" in paragraph(fairmoe("base", "--base", "nobody/such-model"))
    assert "is not a folder" in paragraph(fairmoe("base", "--base", "./no/such/folder"))


def test_settings_of_nano_are_refused_for_other_bases(tiny: str, tmp_path: Path) -> None:
    assert "belong to nano" in paragraph(fairmoe("base", "--base", tiny, "--cache", str(tmp_path)))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--dtype", "float8", "no dtype 'float8'; choose one of auto, float32"),
        ("--quantisation", "int4", "no quantisation 'int4'; choose one of none, nf4, int8"),
        ("--device", "abacus", "There is no device 'abacus'; write cpu"),
    ],
)
def test_a_setting_that_does_not_exist_is_named(tiny: str, option: str, value: str, message: str) -> None:
    assert message in paragraph(fairmoe("base", "--base", tiny, option, value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kind", "lorra"), "lorra"),
        (("--role", "king"), "king"),
        (("--template", "poem"), "poem"),
        (("--task", "scmm"), "scm"),
        (("--start", "9"), "9"),
        (("--scope", "half"), "no scope 'half'"),
        (("--scope", "suffix", "--kind", "prefix"), "need the whole text"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    tiny: str, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    given = ("--task", "scm@200", *options)
    text = paragraph(fairmoe("train", "--base", tiny, "--trials", "1", "--output", str(tmp_path / "out"), *given))
    assert message in text
    assert not (tmp_path / "out").exists(), "nothing was begun"


def test_an_expert_of_another_base_is_refused(expert: str, tmp_path: Path) -> None:
    other = str(saved_base(tmp_path / "other", seed=1))
    for done in (
        fairmoe("evaluate", expert, "--task", "scm@200", "--base", other),
        fairmoe("bias", expert, "--base", other),
        fairmoe("search", expert, "--task", "scm@200", "--base", other),
    ):
        assert "Load the base that it was made on" in paragraph(done)


def test_a_folder_without_an_expert_is_refused(tiny: str, tmp_path: Path) -> None:
    text = paragraph(fairmoe("evaluate", str(tmp_path), "--task", "scm@200", "--base", tiny))
    assert "an LLM expert is a folder with expert.json" in text


@pytest.fixture(scope="module")
def trained(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A saved expert that was made on scm@300 with seed 7."""
    base, view = load_base(tiny), load_task("scm@300", seed=7).view()
    folder = tmp_path_factory.mktemp("trained")
    adapter = make_adapter("svf", start=1, base=base)
    LLMExpert("utility", Reader(base), adapter, origins=(Origin.of_training(view),)).save(folder)
    return str(folder)


def test_rows_that_an_expert_has_seen_are_not_its_test_rows(tiny: str, trained: str) -> None:
    """german, evaluated with another seed than its own: 185 of 250 test rows were training or validation rows."""
    made, asked = (load_task("scm@300", seed=seed).view() for seed in (7, 0))
    seen = set(made.rows.tolist()) - set(made.rows[made.split.test].tolist())
    test = asked.rows[asked.split.test].tolist()
    count = f"{len(seen & set(test))} of the {len(test)} test rows"
    shared = ("evaluate", trained, "--task", "scm@300", "--base", tiny)
    text = paragraph(fairmoe(*shared))
    assert count in text and "--task scm@300 --split 0 --seed 7" in text and "--allow-seen" in text
    done = fairmoe(*shared, "--allow-seen")
    assert done.exit_code == 0, done.output
    assert f"note: {count}" in done.output
    done = fairmoe(*shared, "--seed", "7")
    assert done.exit_code == 0, done.output
    assert "note" not in done.output


def test_an_expert_that_does_not_say_what_it_has_seen_is_refused(tiny: str, expert: str) -> None:
    shared = ("evaluate", expert, "--task", "scm@200", "--base", tiny)
    assert "does not say on which rows it was made" in paragraph(fairmoe(*shared))
    done = fairmoe(*shared, "--allow-seen")
    assert done.exit_code == 0 and "does not say" in done.output


def test_a_search_refuses_experts_trained_on_its_rows(tiny: str, trained: str, tmp_path: Path) -> None:
    shared = ("search", trained, "--task", "scm@300", "--base", tiny, "--output", str(tmp_path / "out"))
    text = paragraph(fairmoe(*shared))
    assert "validation rows of --task scm@300 --split 0 --seed 0 trained it" in text and "--seed 7" in text
    assert not (tmp_path / "out").exists()


def test_the_hint_after_training_is_the_whole_command(tiny: str, tmp_path: Path) -> None:
    """Followed as it stands, it scores rows that the expert has not seen."""
    place = tmp_path / "my runs"
    done = fairmoe(
        "train", "--task", "scm@200", "--base", tiny, "--seed", "3", "--split", "1", "--trials", "1", "--steps", "2",
        "--start", "-1", "--scope", "suffix", "--output", str(place),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    words = shlex.split(done.output.rpartition("Next: ")[2])
    assert words[:3] == ["fairmoe", "llm", "evaluate"] and words[3].startswith(str(place))
    assert words.pop(4) == "--promise"
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert options == {
        "--task": "scm@200", "--split": "1", "--seed": "3", "--base": tiny, "--dtype": "float32",
        "--quantisation": "none", "--device": "auto",
    }  # fmt: skip
    done = fairmoe(*words[2:], "--promise")
    assert done.exit_code == 0, done.output
    assert "note" not in done.output
    promised = json.loads((Path(words[3]) / "promise.json").read_text())
    assert promised["rows"] == len(load_task("scm@200", split=1, seed=3).split.test) and "dp@1" in promised["metrics"]


def test_the_hint_of_a_base_names_it(tiny: str) -> None:
    assert f"fairmoe llm train --task german --role utility --base {tiny}" in fairmoe("base", "--base", tiny).output


def test_an_unknown_bias_set_is_refused(tiny: str) -> None:
    assert "unknown bias set bqq: known are bbq" in paragraph(fairmoe("bias", "--base", tiny, "--only", "bqq"))


def test_a_mixture_of_less_than_two_experts_is_refused(expert: str) -> None:
    assert "--mixture needs at least two experts, 1 given" in paragraph(fairmoe("bias", expert, "--mixture"))


def test_experts_that_are_called_alike_are_told_apart() -> None:
    folders = [Path("x/german_split0/best"), Path("x/german_split1/best"), Path("x/german_split0/other")]
    assert names_of(folders) == ["german_split0/best", "german_split1/best", "other"]


def test_examples_keep_their_asterisks() -> None:
    assert "results/llm/*/*_best --mixture" in fairmoe("bias", "--help").output
    assert "german_split0_seed0/*svf*_best" in fairmoe("search", "--help").output


def test_constraints_are_read_as_they_are_written() -> None:
    assert _constraint("dp@1<=0.05") == ("dp@1", "<=", 0.05)
    assert _constraint(" utility@1 >= 0.7") == ("utility@1", ">=", 0.7)


@pytest.mark.parametrize("text", ["dp@1", "dp@1<0.1", "dp@1<=little", "dp@1==0.1"])
def test_what_is_no_constraint_is_refused_before_the_base_is_read(expert: str, text: str) -> None:
    done = fairmoe("search", expert, "--task", "scm@200", "--base", "./no/base", "--constraint", text)
    assert "write it as dp@1<=0.05" in paragraph(done)


def test_constraints_on_unknown_metrics_are_refused_before_the_base_is_read(expert: str) -> None:
    done = fairmoe("search", expert, "--task", "scm@200", "--base", "./no/base", "--constraint", "dq@1<=0.1")
    assert "unknown metric" in paragraph(done)


def test_a_search_takes_svf_experts_only(tiny: str, expert: str, tmp_path: Path) -> None:
    done = fairmoe(
        "search", expert, "--task", "scm@200", "--base", tiny, "--output", str(tmp_path / "out"), "--allow-seen"
    )  # fmt: skip
    assert "one is of kind lora" in paragraph(done)


def test_the_overall_rows_of_every_bias_set_are_shown() -> None:
    rows = [
        {"set": "bbq", "category": "macro"}, {"set": "bbq", "category": "Age"},
        {"set": "crows_pairs", "category": "all"}, {"set": "crows_pairs", "category": "gender"},
        {"set": "stereoset", "category": "all"}, {"set": "stereoset", "category": "intrasentence: race"},
        {"set": "winobias", "category": "all"}, {"set": "winobias", "category": "type 1"},
    ]  # fmt: skip
    assert [(row["set"], row["category"]) for row in _overall(rows)] == [
        ("bbq", "macro"), ("crows_pairs", "all"), ("stereoset", "all"), ("winobias", "all"),
    ]  # fmt: skip


@pytest.mark.data
@pytest.mark.slow
def test_bias_of_base_expert_and_mixture(tiny: str, expert: str, tmp_path: Path) -> None:
    output = tmp_path / "bias.csv"
    again = shutil.copytree(expert, tmp_path / "again")
    done = fairmoe(
        "bias", expert, str(again), "--mixture", "--base", tiny, "--limit", "20", "--output", str(output)
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    table = pd.read_csv(output)
    assert set(table["set"]) == {"bbq", "bold", "crows_pairs", "stereoset", "winobias"}
    assert set(table["model"]) == {tiny, Path(expert).name, "again", "uniform mixture"}
    scores = table.pivot(index=["set", "metric", "category"], columns="model", values="estimate")
    for other in ("again", "uniform mixture"):  # the same adapter twice, and the mean of it and itself
        pd.testing.assert_series_equal(scores[other], scores[Path(expert).name], check_names=False, atol=1e-4)
    assert all(name in done.output for name in ("bbq", "bold", "crows_pairs", "stereoset", "winobias"))


@pytest.mark.slow
def test_train_evaluate_and_search_from_start_to_end(tiny: str, tmp_path: Path) -> None:
    shared = ("--task", "scm@600", "--base", tiny)
    for role in ("utility", "result"):
        done = fairmoe(
            "train", *shared, "--role", role, "--kind", "svf", "--start", "-1", "--trials", "2", "--batch", "2",
            "--steps", "6", "--output", str(tmp_path),
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert "Next: fairmoe llm evaluate" in done.output
    folders = sorted(tmp_path.glob("*/*_best"))
    assert len(folders) == 2
    assert {json.loads((folder / "expert.json").read_text())["role"] for folder in folders} == {"utility", "result"}
    done = fairmoe("evaluate", str(folders[0]), *shared)
    assert done.exit_code == 0, done.output
    assert "dp@1" in done.output and "answer mass on validation rows" in done.output
    done = fairmoe(
        "search", *map(str, folders), *shared, "--generations", "6", "--population", "8",
        "--output", str(tmp_path / "search"),
    )  # fmt: skip
    if done.exit_code:  # six steps on a random base may leave nothing but constant predictors, and it says so
        assert "No mixture of" in paragraph(done)
    else:
        assert (tmp_path / "search" / "search.json").is_file()


def test_a_base_that_train_refuses_is_not_recommended_for_training(tmp_path: Path, tiny: str) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    load_base(tiny).tokenizer.save_pretrained(tmp_path / "gpt2")
    base = str(tmp_path / "gpt2")
    done = fairmoe("base", "--base", base)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Experts on texts cannot be made on it" in done.output and "GPT2LMHeadModel" in done.output
    assert "llm train" not in done.output and f"fairmoe llm bias --base {base}" in done.output
    assert "GPT2LMHeadModel" in paragraph(fairmoe("train", "--task", "german", "--base", base))

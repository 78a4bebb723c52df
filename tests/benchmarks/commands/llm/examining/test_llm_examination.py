"""``llm evaluate`` on items and ``llm validate``: tables, files, promises, and one paragraph for each mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from artefacts.format.archive import open_package
from artefacts.packing.pack import package
from benchmarks.cli import app
from benchmarks.commands.llm.examining.examination import places_of
from benchmarks.examining.opening import weights_of
from benchmarks.run.failure import explain
from llm_experts.adapters.store import WEIGHTS, save_adapter
from llm_experts.bases.load import load_base
from llm_experts.data.example import Example
from llm_experts.data.reading import write_examples
from llm_experts.evaluation.error import EvaluationError
from tests.benchmarks.commands.llm.test_llm import paragraph, saved_base
from tests.llm_experts.runtime.resident_fixtures import peft_adapter, saved

ITEMS = [Example(f"i{k}", f"Is number {k} good?", "yes" if k % 2 else "no") for k in range(40)]


def fairmoe(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["llm", *arguments], env={"COLUMNS": "80", "HF_HUB_OFFLINE": "1"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two adapters on it, items to examine and items that were learnt."""
    folder = tmp_path_factory.mktemp("examined")
    saved_base(folder / "tiny")
    base = load_base(str(folder / "tiny"))
    for seed, name in enumerate(("one", "two")):
        adapter = saved(peft_adapter("lora", seed, base=base), base)
        save_adapter(folder / name, base, adapter.config, adapter.state, {})
    write_examples(folder / "test.jsonl", ITEMS)
    write_examples(folder / "train.jsonl", [*ITEMS[:4], Example("x", "Something else?", "yes")])
    write_examples(folder / "few.jsonl", ITEMS[:29])
    return folder


def asked(place: Path, *words: str, output: str = "out") -> list[str]:
    shared = ["--base", str(place / "tiny"), "--max-new-tokens", "3", "--output", str(place / output)]
    return [*words, "--data", str(place / "test.jsonl"), *shared]


def test_an_expert_is_not_taken_for_the_base_that_stands_beside_it(place: Path) -> None:
    shutil.copytree(place / "one", place / "base")
    done = fairmoe(*asked(place, "evaluate", str(place / "base"), output="same"))
    assert isinstance(done.exception, EvaluationError)
    assert "An expert cannot be called 'base'" in str(done.exception) and "Rename its folder" in str(done.exception)


def test_a_composition_stands_beside_its_base_and_each_of_its_experts(place: Path) -> None:
    words = asked(place, "evaluate", str(place / "one"), "--expert", str(place / "two"), "--weights", "0.5,1", "--each")
    done = fairmoe(*words, "--trained-on", str(place / "train.jsonl"))
    assert done.exit_code == 0, (done.output, done.exception)
    assert all(len(line) <= 80 for line in done.output.splitlines() if "note:" not in line and "/" not in line)
    scores = pd.read_csv(place / "out" / "scores.csv")
    assert list(dict.fromkeys(scores["model"])) == ["base", "0.5 two + one", "two", "one"]
    assert set(scores["score"]) == {"exact_match", "chrf", "perplexity"} and set(scores["n"]) == {40}
    compared = pd.read_csv(place / "out" / "comparisons.csv")
    assert set(compared["against"]) == {"base"} and len(compared) == 9
    assert (compared["p_holm"] >= compared["p"]).all()
    facts = json.loads((place / "out" / "examination.json").read_text())
    assert facts["experts"]["0.5 two + one"] == {"one": 1.0, "two": 0.5}
    assert facts["models"][1]["contamination"]["seen"] == ["i0", "i1", "i2", "i3"]
    assert facts["models"][0]["contamination"] is None
    assert "4 of 40 items (10.0%" in done.output and "Next: fairmoe llm check" in done.output
    answers = [json.loads(line) for line in (place / "out" / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 4 * 40 and answers[0]["id"] == "i0"


def test_the_same_examination_asks_nothing_again_and_promises(place: Path, tmp_path: Path) -> None:
    words = asked(place, "evaluate", str(place / "one"), output="kept")
    assert fairmoe(*words).exit_code == 0
    kept = (place / "kept" / "kept.jsonl").read_text()
    done = fairmoe(*words, "--promise")
    assert done.exit_code == 0, (done.output, done.exception)
    assert (place / "kept" / "kept.jsonl").read_text() == kept and len(kept.splitlines()) == 80
    assert "Next: fairmoe package" in done.output
    made = package(place / "one", tmp_path / "one.expert")
    with open_package(made.path) as opened:
        fairness = opened.manifest.fairness
    assert fairness is not None and fairness.rows == 40 and fairness.task == "test.jsonl"
    assert {"exact_match", "chrf minus base", "perplexity"} <= set(fairness.metrics)
    scores = pd.read_csv(place / "kept" / "scores.csv").set_index(["model", "score"])
    assert fairness.metrics["chrf"].estimate == pytest.approx(scores.loc[("one", "chrf"), "estimate"])
    assert "chrF2" not in fairness.note and "nrefs:1" in fairness.note


def test_validate_checks_and_compares(place: Path) -> None:
    done = fairmoe("validate", str(place / "two"), "--base", str(place / "tiny"))
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.output.count("yes:") == 3 and "are the bytes that were written" in done.output.replace("\n", " ")
    done = fairmoe(*asked(place, "validate", str(place / "two"), output="valid"))
    told = " ".join(done.output.split())
    assert "two cannot be told from the base: exact_match" in told or "two and the base differ: exact_match" in told
    assert "Next: fairmoe llm evaluate" in told


def test_a_damaged_or_foreign_expert_does_not_pass(place: Path, tmp_path: Path) -> None:
    base = load_base(str(place / "tiny"))
    adapter = saved(peft_adapter("lora", 3, base=base), base)
    save_adapter(tmp_path / "bad", base, adapter.config, adapter.state, {})
    data = bytearray((tmp_path / "bad" / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad" / WEIGHTS).write_bytes(bytes(data))
    assert "sha256 differs" in paragraph(fairmoe("validate", str(tmp_path / "bad"), "--base", str(place / "tiny")))
    other = str(saved_base(tmp_path / "other", seed=1))
    assert "was trained on" in paragraph(fairmoe("validate", str(place / "one"), "--base", other))


def test_an_expert_that_changes_nothing_fails(place: Path, tmp_path: Path) -> None:
    base = load_base(str(place / "tiny"))
    adapter = saved(peft_adapter("lora", 3, base=base, size=0.0), base)
    save_adapter(tmp_path / "idle", base, adapter.config, adapter.state, {})
    done = fairmoe("validate", str(tmp_path / "idle"), "--base", str(place / "tiny"))
    assert done.exit_code == 1 and "no: idle: it changes no logit" in done.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate", "one"], "Say what to evaluate on, once: nothing given"),
        (["evaluate", "one", "--data", "x", "--family", "sql"], "--family and --data given"),
        (["evaluate", "--data", "x"], "Name the experts"),
        (["evaluate", "one", "two", "--task", "german"], "--task scores one expert on rows, 2 given"),
        (["validate", "one", "--data", "x", "--family", "sql"], "not both"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_anything_is_loaded(words: list[str], says: str) -> None:
    assert says in paragraph(fairmoe(*words))


def test_mistakes_are_one_paragraph(place: Path) -> None:
    one, base = str(place / "one"), ("--base", str(place / "tiny"))
    few = fairmoe("evaluate", one, "--data", str(place / "few.jsonl"), *base)
    assert "few.jsonl has 29 items, and an examination needs 30 at least" in paragraph(few)
    unknown = fairmoe(*asked(place, "evaluate", one), "--score", "rouge")
    assert "There is no score 'rouge'; scores are accuracy, bleu" in paragraph(unknown)
    greedy = fairmoe(*asked(place, "evaluate", one), "--samples", "3", "--temperature", "0")
    assert "3 times the same one" in paragraph(greedy)
    family = fairmoe("evaluate", one, "--family", "poems", *base)
    assert "There is no family 'poems'" in paragraph(family)
    several = fairmoe(*asked(place, "evaluate", one, str(place / "two")), "--promise")
    assert "--promise writes the scores of one expert" in paragraph(several)
    with pytest.raises(EvaluationError, match="are 1 for 2 experts"):
        weights_of("1", ["a", "b"])
    assert explain(EvaluationError("x")) == "x"


def test_the_harness_is_named_where_it_is_not_installed(place: Path) -> None:
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        done = fairmoe("evaluate", str(place / "one"), "--lm-eval", "arc_easy", "--base", str(place / "tiny"))
        assert "Install it where fairmoe is: pip install lm_eval" in paragraph(done)
    else:
        pytest.skip("lm_eval is installed")


def test_the_harness_asks_own_tasks(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs lm_eval, which no group of the project has."""
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    lines = [{"q": f"Is number {k} good? Answer:", "choices": [" yes", " no"], "gold": k % 2} for k in range(40)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "own.yaml").write_text(
        f"""
task: own_numbers
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path / "items.jsonl"}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
target_delimiter: ""
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
    )
    words = ["evaluate", str(place / "one"), "--base", str(place / "tiny"), "--lm-eval", "own_numbers"]
    words += ["--lm-eval-tasks", str(tmp_path), "--output", str(tmp_path / "out")]
    done = fairmoe(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    (row,) = json.loads((tmp_path / "out" / "lm_eval.json").read_text())["rows"]
    assert (row["metric"], row["n"]) == ("acc", 40) and row["low"] <= row["estimate"] <= row["high"]
    few = paragraph(fairmoe(*words, "--count", "20"))
    assert "own_numbers has 20 items, and an examination needs 30" in few


def test_results_of_two_experts_on_the_same_items_are_both_kept() -> None:
    """The base's answers are shared, so that it is asked once; scores of one must not replace those of another."""
    keep, one = places_of(None, "moods_test_1", "one")
    again, two = places_of(None, "moods_test_1", "0.5 one + ../two")
    assert keep == again == one.parent == two.parent and one != two
    assert two.name == "0.5_one_+_.._two" and places_of(None, "m", "..")[1].name == "expert"
    assert places_of(Path("out"), "m", "one") == (Path("out"), Path("out"))

"""``fairmoe llm dataset`` and ``fairmoe llm families``: files of items, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.commands.llm.dataset.opened import opened
from benchmarks.run.failure import explain
from llm_experts.data.error import DataError
from llm_experts.data.reading import read_examples
from llm_experts.families.registry import FAMILIES
from tests.benchmarks.commands.llm.test_llm import saved_base


def llm(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["llm", *arguments], env={"COLUMNS": "80", "HF_HUB_OFFLINE": "1"})


def generate(path: Path, *arguments: str) -> Result:
    return llm("dataset", "generate", "--output", str(path), *arguments)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(saved_base(tmp_path_factory.mktemp("room") / "base"))


def test_families_are_listed_each_with_an_item() -> None:
    done = llm("families", "arithmetic", "sql", "--difficulty", "0")
    assert done.exit_code == 0, done.output
    assert "arithmetic: " in done.output and "How many now?" in done.output and "answer:   SELECT" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert set(FAMILIES) <= {line.split(":")[0] for line in llm("families").output.splitlines()}


def test_generated_file_is_the_same_twice_and_reads_back(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl.gz"
    done = generate(one, "--family", "dates", "--count", "30", "--seed", "4")
    assert done.exit_code == 0, done.output
    assert f"{one}: 30 items of dates, part train, seed 4." in done.output
    assert f"fairmoe llm train --data {one} --method sft" in done.output
    generate(two, "--family", "dates", "--count", "30", "--seed", "4")
    expected = FAMILIES["dates"].make("train", 30, 4, None)
    assert read_examples(one, need="completion") == read_examples(two, need="completion") == expected


def test_pairs_hold_a_wrong_answer(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    done = generate(path, "--family", "json_task", "--count", "40", "--pairs", "--part", "validation")
    assert done.exit_code == 0 and "rejected:" in done.output
    for example in read_examples(path, need="pair"):
        assert example.rejected is not None
        assert not FAMILIES["json_task"].check(example, example.rejected).correct


@pytest.mark.parametrize(
    ("part", "words", "following"),
    [
        ("train", (), "fairmoe llm train --data {} --method sft"),
        ("train", ("--pairs",), "fairmoe llm train --data {} --method dpo"),
        ("validation", (), "fairmoe llm validate EXPERT --data {}"),
        ("test", ("--pairs",), "fairmoe llm evaluate EXPERT --data {}"),
    ],
)
def test_items_that_examine_are_not_offered_for_training(
    part: str, words: tuple[str, ...], following: str, tmp_path: Path
) -> None:
    path = tmp_path / "items.jsonl"
    done = generate(path, "--family", "dates", "--count", "3", "--part", part, *words)
    assert f"\n  {following.format(path)}\n" in done.output
    assert done.output.count("fairmoe llm ") == 2  # what is in the file, and this


def test_bad_options_are_explained(tmp_path: Path) -> None:
    unknown = generate(tmp_path / "x", "--family", "chess")
    assert isinstance(unknown.exception, ValueError)
    assert "no family 'chess'" in (explain(unknown.exception) or "")
    assert "There is no part" in generate(tmp_path / "x", "--family", "sql", "--part", "dev").output
    labels = generate(tmp_path / "x", "--family", "rows", "--part", "test")
    assert isinstance(labels.exception, ValueError)
    assert "Labels of test rows are not written" in (explain(labels.exception) or "")
    assert not list(tmp_path.iterdir())


def test_stats_count(tmp_path: Path, base: str) -> None:
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    generate(path, "--family", "lookup", "--count", "20")
    generate(other, "--family", "lookup", "--count", "5")
    done = llm("dataset", "stats", str(path), "--base", base, "--against", str(other))
    assert done.exit_code == 0, done.output
    told = {
        cells[0].strip(): cells[1].strip()
        for cells in (line.strip("│ ").split("│") for line in done.output.splitlines())
        if len(cells) == 2
    }
    assert told["items"] == told["with an answer"] == told["family: lookup"] == "20"
    assert told["prompts also in the other file"] == "5" and told["repeated"] == "0"


def test_validate_passes_what_was_generated(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.jsonl"
    generate(path, "--family", "classification", "--count", "20", "--pairs")
    done = llm("dataset", "validate", str(path), "--base", base)
    assert done.exit_code == 0, done.output
    assert "20 items, nothing wrong." in done.output


def test_validate_names_every_kind_of_fault(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.jsonl"
    item = FAMILIES["arithmetic"].make("train", 1, 0, 0.0)[0]
    facts = dict(item.facts)
    right, wrong = item.completion, str(facts["answer"] + 1)
    lines = [
        {"id": "refuted", "prompt": item.prompt, "completion": wrong, "facts": facts},
        {"id": "twice", "prompt": "A", "completion": "B"},
        {"id": "again", "prompt": "A", "completion": "B"},
        {"id": "long", "prompt": "A", "completion": "word " * 200},
        {"id": "cut", "prompt": "word " * 200, "completion": "B"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    done = llm("dataset", "validate", str(path), "--base", base, "--max-length", "64", "--against", str(path))
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert f"refuted: arithmetic refutes its answer ({wrong} is not {right})" in said
    assert "twice: the same prompt and answer as again" in said
    assert "Item 'long': its answer has" in said and "cut: " in said and "of its prompt do not fit into 64" in said
    assert "its prompt is also in" in said and "faults in 5 items" in said
    pairs = [{"prompt": item.prompt, "chosen": right, "rejected": f" {right}", "facts": facts}]
    path.write_text("\n".join(map(json.dumps, pairs)))
    done = llm("dataset", "validate", str(path), "--base", base)
    assert done.exit_code == 1 and "finds its rejected answer right" in done.output


def test_a_malformed_line_is_named(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"\n')
    done = llm("dataset", "validate", str(path), "--base", base)
    assert isinstance(done.exception, ValueError)
    assert f"{path}, line 2" in (explain(done.exception) or "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"prompt": "a", "completion": "b"}, {"prompt": "c", "answer": 3}),
        ({"instruction": "a", "output": "b"}, {"instruction": "c"}),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            {"messages": [{"role": "user", "content": "c"}]},
        ),
    ],
)
def test_an_answer_that_is_missing_further_down_is_a_fault(
    first: dict[str, object], second: dict[str, object], tmp_path: Path
) -> None:
    """What training would refuse is not 'nothing wrong'; a file of prompts alone is for rl."""
    path = tmp_path / "d.jsonl"
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    with pytest.raises(DataError, match="line 2"):
        opened(path)
    path.write_text(f"{json.dumps(second)}\n")
    assert not opened(path)[0].completion


def planted(path: Path) -> list[str]:
    """Twenty items of lookup with a wrong answer, a re-worded question and an unknown family; their ids."""
    made = FAMILIES["lookup"].make("train", 20, 0, 0.0)
    lines = [{"id": one.id, "prompt": one.prompt, "completion": one.completion, "facts": one.facts} for one in made]
    lines[3]["completion"] = "zebra"
    lines[4]["facts"] = {**made[4].facts, "family": "riddles"}
    lines.append({**lines[7], "id": "reworded", "prompt": f"Please: {made[7].prompt}"})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return [one.id for one in made]


def test_an_unknown_family_is_told_and_judges_nothing(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.jsonl"
    ids = planted(path)
    done = llm("dataset", "validate", str(path), "--base", base)
    assert done.exit_code == 1
    assert "1 items say that they are of the family 'riddles', which is not there" in " ".join(done.output.split())
    assert "1 faults in 21 items" in done.output and f"{ids[3]}: lookup refutes its answer" in done.output


def test_checks_of_a_file(tmp_path: Path, base: str) -> None:
    path, test = tmp_path / "a.jsonl", tmp_path / "test.jsonl"
    ids = planted(path)
    generate(test, "--family", "lookup", "--count", "2", "--seed", "5", "--part", "test", "--difficulty", "0")
    with path.open("a") as out:
        leaked = json.loads(test.read_text().splitlines()[0])
        out.write(json.dumps({**leaked, "id": "leaked", "prompt": leaked["prompt"].upper()}) + "\n")
    words = (
        "--checks",
        "contamination, answer,clarity",
        "--base",
        base,
        "--against",
        str(test),
        "--against",
        str(path),
    )
    one = llm("dataset", "validate", str(path), *words[:-2])
    assert one.exit_code == 0, one.output
    told = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in one.output.splitlines() if line.count("│") == 6
    ]
    assert [row[:3] for row in told] == [["answer", "22", "2"], ["clarity", "20", "1"], ["contamination", "19", "1"]]
    assert told[0][3:] == ["9.1%", "2.5% to 27.8%"]  # Wilson
    assert "answer: " + ids[4] + ": no family can verify its answer" in one.output
    assert f"clarity: reworded: nearly the same question as {ids[7]}" in one.output
    assert f"  {ids[7]}: name" in one.output and "  reworded: Please: name" in one.output
    assert "contamination: leaked: test.jsonl has its question" in one.output
    assert "Accepted: 18 of 22 (81.8%," in one.output
    assert max(map(len, one.output.replace(str(path), "").splitlines())) <= 80
    every = llm("dataset", "validate", str(path), *words)
    assert every.exit_code == 1 and "too few items are accepted" in every.output  # the file against itself


def test_difficulty_of_a_file_is_told(tmp_path: Path, base: str) -> None:
    path = tmp_path / "a.jsonl"
    generate(path, "--family", "classification", "--count", "20", "--difficulty", "0")
    done = llm("dataset", "stats", str(path), "--base", base, "--checks", "difficulty")
    assert done.exit_code == 0, done.output
    assert "nearly repeated" in done.output and "│ difficulty │    20 │" in done.output
    wrong = llm("dataset", "stats", str(path), "--base", base, "--checks", "taste")
    assert "There is no check 'taste'" in (explain(wrong.exception) or "")  # type: ignore[arg-type]

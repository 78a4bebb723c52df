"""``fairmoe llm train`` asks in a chat, behind examples and with a teacher; its experts remember how they are asked."""

import json
from pathlib import Path

import pytest

from benchmarks.commands.llm.loading import asking_named, rows_explained
from tasks.load import load_task
from tests.benchmarks.commands.llm.test_llm import fairmoe, paragraph, saved_base
from tests.llm_experts.conftest import make_tiny_base


@pytest.mark.slow
def test_an_expert_that_was_trained_behind_examples_is_scored_behind_them(tmp_path: Path) -> None:
    base = saved_base(tmp_path / "tiny")
    shared = ("--task", "scm@200", "--base", str(base))
    done = fairmoe(
        "train", *shared, "--kind", "ia3", "--start", "-1", "--template", "record", "--prompt", "chat", "--shots", "2",
        "--teacher", "lightgbm", "--distil", "0.3", "--trials", "1", "--steps", "2", "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 training rows in clear text" in " ".join(done.output.split())
    (place,) = (tmp_path / "out").glob("*/*_best")
    facts = json.loads((place / "expert.json").read_text())
    view = load_task("scm@200").view()
    assert facts["asking"] == asking_named(view, "chat", 2, 0).as_dict()
    (results,) = (tmp_path / "out").glob("*/*_utility_tuning_results.json")
    told = json.loads(results.read_text())
    assert told["teacher"]["weight"] == 0.3 and len(told["asking"]["shots"]) == 2
    scored = fairmoe("evaluate", str(place), *shared, "--explained", "6")
    assert scored.exit_code == 0, scored.output
    assert "reasons of 6 of" in scored.output
    again = fairmoe(
        "train", *shared, "--kind", "ia3", "--start", "-1", "--template", "record", "--trials", "1", "--steps", "2",
        "--output", str(tmp_path / "out"),
    )  # fmt: skip
    assert again.exit_code != 0 and "asking" in paragraph(again)


def test_reasons_of_a_large_base_are_those_of_a_few_rows() -> None:
    task = load_task("scm@600")
    rows, small = task.split.test, make_tiny_base(layers=1)
    assert rows_explained(task, rows, small, None, 0) is None and rows_explained(task, rows, small, 9999, 0) is None
    wide = make_tiny_base(layers=1, hidden=256)
    for asked, count in ((None, 64), (10, 10)):
        few = rows_explained(task, rows, wide, asked, 0)
        assert few is not None and len(few) == count and few.tolist() == sorted(set(few.tolist()))
        assert set(task.groups[rows[few]].tolist()) == set(task.groups[rows].tolist())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--prompt", "poem"), "There is no prompt 'poem'"),
        (("--shots", "5000"), "cannot be drawn from"),
        (("--teacher", "nobody"), "There is no teacher 'nobody'"),
        (("--revision", "v2"), "has no revisions"),
    ],
)
def test_what_train_refuses_before_it_trains(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    base = saved_base(tmp_path / "tiny")
    done = fairmoe("train", "--task", "scm@200", "--base", str(base), *options, "--output", str(tmp_path / "out"))
    assert done.exit_code != 0 and words in paragraph(done)
    assert not (tmp_path / "out").exists()

"""The study of a real base: intervals over rows by hand, cells that are kept, and the table."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.studies import real_base
from benchmarks.studies.parts.paired import Interval, Said, best_threshold, draws_of, interval
from benchmarks.studies.real_base import WAYS, main
from metrics.auc import auc
from tests.llm_experts.conftest import make_tiny_base

LABELS = torch.tensor([0, 0, 1, 1, 0, 1, 1, 0])
GROUPS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
MARGINS = torch.tensor([-2.0, 1.0, 0.5, 3.0, -1.0, -0.5, 2.0, 0.2], dtype=torch.float64)


def said(margins: torch.Tensor = MARGINS) -> Said:
    return Said(margins, 0.0, LABELS, GROUPS)


def test_the_first_draw_is_of_the_rows_as_they_are() -> None:
    found = draws_of([said()])
    assert float(found["auc"][0]) == pytest.approx(float(auc(torch.sigmoid(MARGINS)[None], LABELS)[0]))
    assert float(found["accuracy"][0]) == 5 / 8  # wrong: rows 1, 5 and 7
    assert float(found["dp"][0]) == 3 / 4 - 2 / 4
    two = draws_of([said(), said(-MARGINS)])
    assert float(two["auc"][0]) == pytest.approx(0.5)


def test_a_method_is_paired_with_itself_row_by_row() -> None:
    one, two = draws_of([said()]), draws_of([said()])
    assert interval(one["auc"] - two["auc"]) == Interval(0.0, 0.0, 0.0)
    wide = interval(one["auc"])
    assert wide.low < wide.estimate < wide.high <= 1
    assert Interval(0.5, -0.25, 0.75).words() == ".500 [-.250, .750]"
    assert Interval(0.02, -0.01, 0.05).words(sign=True) == "+.020 [-.010, +.050]"


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Accuracy of 100 rows that are right with probability .7: the interval holds .7 in 95 % of 60 samples."""
    generator, held = torch.Generator().manual_seed(0), 0
    for seed in range(60):
        right = (torch.rand(100, generator=generator) < 0.7).double()
        margins = torch.where(right > 0, 1.0, -1.0)
        labels, groups = torch.ones(100, dtype=torch.int64), torch.arange(100) % 2
        labels[:1] = 0
        found = interval(draws_of([Said(margins, 0.0, labels, groups)], seed, 400)["accuracy"])
        held += found.low <= 0.7 <= found.high
    assert 53 <= held <= 60


def test_threshold_by_hand() -> None:
    assert best_threshold(torch.tensor([-1.0, 0.0, 1.0, 2.0]), torch.tensor([0, 0, 1, 1])) == 0.5
    assert best_threshold(torch.tensor([1.0, 1.0]), torch.tensor([0, 0])) == 2.0


@pytest.fixture
def base(tmp_path: Path) -> str:
    tiny = make_tiny_base(layers=2, hidden=32)
    for part in (tiny.model, tiny.tokenizer):
        part.save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_a_cell_that_is_there_is_not_computed_again(base: str, tmp_path: Path) -> None:
    call = [
        "--base",
        base,
        "--output",
        str(tmp_path),
        "--tasks",
        "scm@120",
        "--splits",
        "0",
        "--methods",
        "few4_record",
    ]
    main(call)
    place = tmp_path / "scm_120_split0_few4_record.json"
    first, facts = place.stat().st_mtime_ns, json.loads(place.read_text())
    main([*call, "--steps", "9"])  # nothing is trained, so steps are nothing to it
    assert place.stat().st_mtime_ns == first and facts["made"]["shots"] == 4
    facts["made"]["shots"] = 2
    place.write_text(json.dumps(facts))
    main(call)
    assert json.loads(place.read_text())["made"]["shots"] == 4


@pytest.mark.slow
def test_cells_are_kept_and_make_a_table(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["--base", base, "--output", str(tmp_path / "out"), "--tasks", "scm@200", "--splits", "0", "1"]
    ways = ["lightgbm", "zero_record", "few4_record", "lora_top4"]
    small = ["--methods", *ways, "--steps", "3"]
    with pytest.MonkeyPatch.context() as patch:  # two layers have no top four
        patch.setitem(WAYS, "lora_top4", real_base.replace(WAYS["lora_top4"], top=1))
        patch.setattr(real_base, "LANES", (0.5,))
        main([*shared, *small])
        first = capsys.readouterr().out
        assert "[8/8] scm@200 split 1 lora_top4: validation AUC" in first and "--table" in first
        place = tmp_path / "out" / "scm_200_split0_few4_record.json"
        facts = json.loads(place.read_text())
        assert facts["made"]["shots"] == 4 and facts["chosen"]["lead"] > 4 * 40
        assert len(facts["margins"]) == len(facts["labels"]) == len(facts["groups"])
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
        main([*shared, *small])
        assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
        main([*shared, "--methods", *ways, "--steps", "4"])
        changed = [path.name for path, time in before.items() if path.stat().st_mtime_ns != time]
        assert [name for name in sorted(changed) if "lora" not in name] == []
        capsys.readouterr()
        main([*shared, "--methods", *ways, "--table"])
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "**scm@200**" and len(table) == 4 + len(ways)
    assert all(line.count("|") == 8 for line in table[2:])
    assert "| LightGBM, bagged | 2 |" in table[4] and "| – |" in table[4]


def test_costs_are_told_before(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--base", base, "--tasks", "scm@200", "--methods", "zero_record", "few4_record", "nano_lora", "--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["zero_record", "few4_record", "nano_lora"]


def test_a_real_base_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--methods", "zero_record"])
    assert "needs a real base" in capsys.readouterr().err


def test_two_methods_are_compared_over_all_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = {"labels": LABELS.tolist(), "groups": GROUPS.tolist(), "threshold": 0.0, "cpu_s": 1.0}
    better = torch.where(LABELS == 1, 1.0, -1.0).tolist()
    for task in ("german", "scm@200"):
        for name, margins in (("nano_distil", better), ("nano_lora", MARGINS.tolist())):
            told = {**shared, "task": task, "split": 0, "about": name, "margins": margins}
            real_base.cell_path(tmp_path, task, 0, name).write_text(json.dumps(told))
    gain = 3 / 16  # 13 of the 16 pairs stand in order
    call = ["--output", str(tmp_path), "--tasks", "german", "scm@200", "adult", "--splits", "0", "1"]
    main([*call, "--compare", "nano_distil", "nano_lora"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("german, 1 splits: " + f"+{gain:.3f}".replace("0.", ".")) and len(lines) == 4
    assert lines[3].startswith("all, 2 cells: " + f"+{gain:.3f}".replace("0.", "."))
    main([*call, "--compare", "nano_zero", "nano_lora"])
    assert "no cell of both nano_zero and nano_lora" in capsys.readouterr().out


def test_learning_rates_are_part_of_a_cell_and_older_cells_tried_all(base: str, tmp_path: Path) -> None:
    way, other = real_base.way_named("svf_top4", 5), real_base.way_named("svf_top4", 5, (0.75,))
    known = real_base.made(way, base)
    del known["rates"]
    (tmp_path / "cell.json").write_text(json.dumps({"made": known}))
    assert real_base._is_there(tmp_path / "cell.json", way, base)
    assert not real_base._is_there(tmp_path / "cell.json", other, base)
    assert [lane.lr for lane in real_base.lanes_of(64, other)] == [real_base.lanes_of(64, way)[2].lr]
    with pytest.raises(SystemExit, match="2"):
        main(["--base", base, "--rates", "1.5"])

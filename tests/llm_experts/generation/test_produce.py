"""Sets of items by spec: drafted, checked, moved in difficulty, filled up, and resumed at any byte of the journal."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from llm_experts.data.error import DataError
from llm_experts.data.reading import read_examples
from llm_experts.families.registry import FAMILIES
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated, part_of
from llm_experts.generation.budget import Budget
from llm_experts.generation.draft import Draft
from llm_experts.generation.produce import JOURNAL
from llm_experts.generation.report import ProducedReport
from tests.llm_experts.generation.production_fixtures import contents, made, planted, spec_of


def falling(draft: Draft) -> float:
    """1 - difficulty, a little apart for every item."""
    return 1 - (draft.difficulty or 0) + 0.1 * (sum(draft.example.id.encode()) % 10) / 10 - 0.05


def test_a_set_is_written_with_a_report_that_reads_back(tmp_path: Path) -> None:
    produced = made(spec_of(21, "arithmetic", "lookup"), tmp_path)
    assert read_examples(tmp_path / "train.jsonl", need="completion") == produced.accepted
    families = [example.facts["family"] for example in produced.accepted]
    assert families == ["arithmetic"] * 11 + ["lookup"] * 10
    assert produced.accepted[:11] == FAMILIES["arithmetic"].make("train", 11, 0, 0.0)
    pairs = read_examples(tmp_path / "pairs.jsonl", need="pair")
    assert len(pairs) == 21 == len(produced.pairs)
    for pair in pairs:
        family = FAMILIES[str(pair.facts["family"])]
        assert pair.rejected is not None and not family.check(pair, pair.rejected).correct
    report = json.loads((tmp_path / "report.json").read_text())
    assert ProducedReport.from_dict(report).as_dict() == report
    assert (report["drafts"], report["accepted"], report["acceptance"], report["enough"]) == (21, 21, 1.0, True)
    assert report["said"] == [] and report["zone"]["mean"] is None


def test_the_same_bytes_twice_and_others_by_seed(tmp_path: Path) -> None:
    spec = spec_of(40, "dates", difficulty=None)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made(spec, tmp_path / name, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_difficulty_is_moved_until_enough_pass_and_that_is_said(tmp_path: Path) -> None:
    produced = made(spec_of(60, "arithmetic", difficulty=1.0), tmp_path, planted(falling))
    (topic,) = produced.report.topics
    assert [level.difficulty for level in topic.levels] == [1.0, 0.5, 0.25]
    assert topic.ended == "enough" and len(produced.accepted) == 60 and topic.filled == 0
    assert topic.variants == produced.report.variants == topic.drafts - topic.levels[0].drafts
    assert all(0.6 <= falling(Draft(example, "", 0.25)) <= 0.9 for example in produced.accepted)
    assert not produced.report.enough and "variants were drafted (difficulty 1, 0.5, 0.25)" in produced.report.said[1]
    rejected = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == produced.report.rejected and all(
        line["reasons"] == {"difficulty": "p"} for line in rejected
    )
    known = {line["id"] for line in rejected}
    replaced = [line["variant_of"] for line in rejected if line["variant_of"]]
    assert set(replaced) <= known and len(set(replaced)) == len(replaced)
    mean = sum(falling(Draft(example, "", 0.25)) for example in produced.accepted) / 60
    assert produced.report.zone.mean == pytest.approx(mean) and produced.report.zone.inside


def test_a_domain_that_no_data_helps_is_reported_and_filled_only_where_asked(tmp_path: Path) -> None:
    def hard(draft: Draft) -> float:
        return 0.1 + 0.3 * (sum(draft.example.id.encode()) % 7) / 7

    spec = spec_of(40, "strings", difficulty=0.25)
    short = made(spec, tmp_path / "short", planted(hard))
    (topic,) = short.report.topics
    assert short.accepted == [] and topic.ended == "scarce" and topic.drafts < 8 * 40
    assert "only 0 of 40 items passed" in short.report.said[-1] and "no difficulty of it helps" in short.report.said[-1]
    filled = made(spec, tmp_path / "filled", planted(hard), fill="nearest")
    assert len(filled.accepted) == 40 == filled.report.filled == filled.report.items
    assert filled.report.accepted == 0 and filled.report.acceptance == 0.0
    taken = [hard(Draft(example, "")) for example in filled.accepted]
    rejected = [json.loads(line) for line in (tmp_path / "filled" / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == topic.drafts - 40
    left = [0.1 + 0.3 * (sum(line["id"].encode()) % 7) / 7 for line in rejected if "difficulty" in line["reasons"]]
    assert min(taken) >= max(left)
    assert len({example.id for example in filled.accepted}) == 40


@pytest.mark.data
def test_a_published_set_gives_what_it_has_and_is_not_moved(tmp_path: Path) -> None:
    produced = made(spec_of(400, "alpaca_demo"), tmp_path, planted(lambda draft: 0.1))
    (topic,) = produced.report.topics
    assert [level.difficulty for level in topic.levels] == [0.0] and topic.variants == 0


def test_a_family_with_few_items_ends_with_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw_one(draw: Draw, difficulty: float) -> Made:
        number = str(draw.below(130))
        return Made(f"The number after {number}? Answer:", str(int(number) + 1), number, {"answer": int(number) + 1})

    few = replace(FAMILIES["arithmetic"], name="few", make=generated("few", draw_one))
    monkeypatch.setitem(FAMILIES, "few", few)
    produced = made(spec_of(200, "few"), tmp_path)
    (topic,) = produced.report.topics
    expected = {f"The number after {n}? Answer:" for n in range(130) if part_of(str(n)) == "train"}
    assert {example.prompt for example in produced.accepted} == expected and len(expected) == len(produced.accepted)
    assert topic.ended == "none left" and "the provider has no more" in produced.report.said[-1]


@pytest.mark.parametrize("trial", range(6))
def test_cut_at_any_byte_it_goes_on_to_the_same_bytes(trial: int, tmp_path: Path) -> None:
    spec = spec_of(50, "arithmetic", "dates", difficulty=0.9)
    made(spec, tmp_path, planted(falling), fill="nearest")
    whole = contents(tmp_path)
    cut = random.Random(trial).randrange(len(whole[JOURNAL]))
    for name in whole:
        (tmp_path / name).unlink()
    (tmp_path / JOURNAL).write_bytes(whole[JOURNAL][:cut])
    made(spec, tmp_path, planted(falling), fill="nearest")
    assert contents(tmp_path) == whole


def test_stopped_at_any_draft_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    spec = spec_of(30, "arithmetic", "dates", difficulty=0.9)
    made(spec, tmp_path / "whole", planted(falling))
    left = iter(range(1, 100))

    def stop(asked: list[int] = []) -> bool:  # noqa: B006
        asked.append(0)
        return len(asked) % 13 == 0

    reports = [made(spec, tmp_path / "parts", planted(falling), stop=stop).report]
    while reports[-1].stopped:
        assert reports[-1].stopped == "asked" and "stopped (as asked); another run goes on" in reports[-1].said[-1]
        next(left)
        reports.append(made(spec, tmp_path / "parts", planted(falling), stop=stop).report)
    assert len(reports) > 5
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_minutes_end_a_run_that_another_goes_on_with(tmp_path: Path) -> None:
    spec = spec_of(30, "lookup")
    report = made(spec, tmp_path, budget=Budget(minutes=0)).report
    assert report.stopped == "minutes" and report.items == 0 and report.acceptance != report.acceptance
    assert made(spec, tmp_path).report.items == 30
    with pytest.raises(DataError, match="A budget of -1 minutes is none"):
        Budget(minutes=-1)


def test_the_journal_of_other_items_is_refused(tmp_path: Path) -> None:
    made(spec_of(5, "lookup"), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"journal of other items: spec differ"):
        made(spec_of(6, "lookup"), tmp_path)
    with pytest.raises(DataError, match="seed, checks differ"):
        made(spec_of(5, "lookup"), tmp_path, planted(falling), seed=1)
    assert contents(tmp_path) == before


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made(spec_of(130, "lookup"), tmp_path, progress=lambda done, wanted: told.append((done, wanted)))
    assert told == [(64, 130), (128, 130), (130, 130)]

"""A score is one file, also in a plug-in folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundation.discovery import PLUGINS, items, load
from llm_experts.data.example import Example
from llm_experts.evaluation.examination import examine
from llm_experts.evaluation.registry import NAME, ROOM
from llm_experts.evaluation.score import Answered

FILE = '''
"""Short answers."""

from llm_experts.evaluation.score import Score, per_item

SCORE = Score(
    id="short", label="short answers", about="share of answers of at most ten words", range=(0, 1), better="higher",
    needs="answer", proportion=True,
    columns=lambda items: per_item([len(item.answer.split()) <= 10 for item in items]),
)
'''


def test_a_score_of_a_plug_in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path.joinpath(*ROOM.split("."), "short.py")
    place.parent.mkdir(parents=True)
    place.write_text(FILE, encoding="utf-8")
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    assert "short" in items(ROOM, NAME)
    told = [Answered(Example(str(k), "?"), ("word " * (5 if k < 20 else 15),)) for k in range(40)]
    (row,) = examine(told, [load(ROOM, NAME, "short")])
    assert (row.estimate, row.interval) == (0.5, "wilson")

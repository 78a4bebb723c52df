"""Keywords of texts and rows."""

from __future__ import annotations

import pytest
import torch

from llm_experts.prompts.keywords import row_values, words
from tasks.load import load_task


def test_words_have_no_case_and_no_punctuation() -> None:
    assert words("List users who are older than 30; “Quoted” LIST...") == {
        "list", "users", "who", "are", "older", "than", "30", "quoted",
    }  # fmt: skip
    assert words("  ,. ") == frozenset()


@pytest.mark.data
def test_values_of_rows() -> None:
    view = load_task("german_credit").view()
    rows = torch.tensor([0, 5])
    found = row_values(view, rows)
    names = {column.name for column in view.columns if column.kind != "numeric"}
    assert all({word.split("=")[0] for word in row} <= names for row in found)
    assert len(found[0]) > 5
    index = next(i for i, column in enumerate(view.columns) if column.kind == "categorical")
    keep = torch.ones(2, len(view.columns), dtype=torch.bool)
    keep[1, index] = False
    masked = row_values(view, rows, keep)
    assert masked[0] == found[0]
    (gone,) = found[1] - masked[1]
    assert gone.startswith(view.columns[index].name + "=")

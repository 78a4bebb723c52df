"""Cells on disk: what is written is read again."""

import json
import math

from benchmarks.cells.cell import Cell
from benchmarks.cells.reading import read_cell


def test_numbers_that_json_has_no_word_for_come_back(tmp_path):
    cell = Cell("key", {"method": "mixture"})
    values = {"estimate": math.inf, "validation": math.nan}
    cell.add_table("levels", [{"level": "any", "metric": "limit", **values}])
    cell.results.append({"metric": "acc@1", "estimate": math.nan, "low": 0.5})
    cell.save(tmp_path)
    json.loads((tmp_path / "cell.json").read_text(), parse_constant=lambda word: 1 / 0)  # JSON without nan or Infinity
    again = read_cell(tmp_path)
    (row,) = again.tables["levels"]
    assert row["estimate"] == math.inf and math.isnan(row["validation"]) and row["level"] == "any"
    assert math.isnan(again.results[0]["estimate"]) and again.results[0]["low"] == 0.5

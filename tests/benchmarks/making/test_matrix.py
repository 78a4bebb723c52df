"""The tables of docs/making_experts.md are what the code says."""

from __future__ import annotations

from pathlib import Path

from benchmarks.making.matrix import table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "making_experts.md"


def test_the_page_has_the_tables_of_today() -> None:
    shown = PAGE.read_text(encoding="utf-8").partition("<!-- matrix -->\n")[2].partition("\n<!-- /matrix -->")[0]
    assert shown == table(), "write the output of python -m benchmarks.making.matrix into docs/making_experts.md"

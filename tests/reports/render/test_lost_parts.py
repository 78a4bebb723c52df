"""A cell without one of its extras says so on the page and in Markdown, once for each reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.summary import summarise
from reports.table import read_results
from tests.reports import conftest


def lost(method: str, step: str, reason: str, split: int = 0) -> dict[str, Any]:
    where = {"cell": "c", "task": "german", "split": split, "seed": 0}
    return {**where, "method": method, "step": step, "reason": reason}


def both(folder: Path, **facts: Any) -> tuple[str, str]:
    conftest.write_run(folder, ("german",), 2, ("mixture", "utility", "constant"), **facts)
    report = summarise(read_results(folder))
    return render_page(report), render_markdown(report)


def test_each_reason_stands_once_with_its_cells(tmp_path: Path) -> None:
    gone = "RuntimeError: no <network>"
    entries = [lost("utility", "bias", gone), lost("mixture", "bias", gone), lost("mixture", "bias", gone, 1)]
    page, text = both(tmp_path, lost=[*entries, lost("mixture", "routing", "ValueError: all rows alike")])
    assert page.count("<code>RuntimeError: no &lt;network&gt;</code>") == 1 and "no <network>" not in page
    assert "bias of german split 0: utility (seed 0), mixture (seed 0); german split 1: mixture (seed 0)" in page
    assert "routing of german split 0: mixture (seed 0)" in page and "ValueError: all rows alike" in page
    assert text.count("WITHOUT") == 2 and "all rows alike; the scores are there." in text


def test_a_run_that_lacks_nothing_says_nothing(tmp_path: Path) -> None:
    page, text = both(tmp_path, lost=[])
    assert "Parts beside the scores" not in page and "WITHOUT" not in text

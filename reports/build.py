"""From an output folder to its pages."""

from __future__ import annotations

from pathlib import Path

from reports.markdown import render_markdown
from reports.page import render_page
from reports.summary import summarise
from reports.table import read_results, write_text


def write_report(folder: Path) -> list[Path]:
    """Write ``leaderboard.html`` and ``leaderboard.md`` from the tables in ``folder``.

    Parameters
    ----------
    folder : Path
        Output folder of a bench run: see :mod:`reports.table` for what it must hold.

    Returns
    -------
    list of Path
        The pages; the same tables give the same bytes.

    Raises
    ------
    reports.table.ReportError
        If a table is missing or has other columns than this version writes.
    """
    report = summarise(read_results(folder))
    pages = {folder / "leaderboard.html": render_page(report), folder / "leaderboard.md": render_markdown(report)}
    for path, text in pages.items():
        write_text(path, text)
    return list(pages)

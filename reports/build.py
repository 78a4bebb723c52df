"""From an output folder to its pages."""

from __future__ import annotations

from pathlib import Path

from foundation.files import write_text
from reports.render.downloads import write_tables
from reports.render.markdown import render_markdown
from reports.render.page import render_page
from reports.render.published import published_table
from reports.summary import summarise
from reports.table import read_results, write_csv


def write_report(folder: Path) -> list[Path]:
    """Write ``leaderboard.html`` and ``leaderboard.md`` from the tables in ``folder``.

    The main tables lie beside them in ``tables/``, as CSV and as LaTeX (see :mod:`reports.render.downloads`). A run
    that can be compared with published numbers (see :mod:`reports.published.verdicts`) gets ``published.csv`` too.

    Parameters
    ----------
    folder : Path
        Output folder of a bench run: see :mod:`reports.table` for what it must hold.

    Returns
    -------
    list of Path
        The files; the same tables give the same bytes.

    Raises
    ------
    reports.table.ReportError
        If a table is missing or has other columns than this version writes.
    """
    report = summarise(read_results(folder))
    pages = {folder / "leaderboard.html": render_page(report), folder / "leaderboard.md": render_markdown(report)}
    for path, text in pages.items():
        write_text(path, text)
    paths = [*pages, *write_tables(report, folder)]
    if report.published is None:
        return paths
    write_csv(published_table(report.published), folder / "published.csv")
    return [*paths, folder / "published.csv"]

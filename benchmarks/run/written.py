"""What tables and pages of an output folder were written from, so that they are not written again from the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.plan.code import source_hash
from benchmarks.plan.job import Job
from benchmarks.plan.suite import Suite
from benchmarks.tracking.mlflow_store import tracking_uri
from foundation.files import write_json
from foundation.hashing import hash_file, hash_json

RESULTS = "results.parquet"
FILE = "written.json"
SOURCES = (
    "reports", "benchmarks/cells", "benchmarks/methods", "benchmarks/run/collect.py", "benchmarks/run/runner.py",
    "benchmarks/run/written.py", "metrics",
)  # fmt: skip
"""Code that decides what tables and pages say of the same cells."""


class Written:
    """The record beside the pages: a hash of suite, cells and code, and a digest of every file."""

    def __init__(self, suite: Suite, jobs: list[Job], output: Path, unavailable: list[dict[str, str]]) -> None:
        cells = [job.cell_key(*cell) for job in jobs for cell in job.cells()]
        code = source_hash(*SOURCES)
        self._output, self._path = output, output / FILE
        self._source = hash_json([suite.facts, cells, unavailable, code, tracking_uri()])

    def pages(self) -> list[Path] | None:
        """The pages of the last run, if all is there as it was written, from the same cells, by the same code."""
        known = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        if known.get("source") != self._source:
            return None
        names = [name for name, _ in known["files"]]
        if known["files"] != _digests(self._output, names):
            return None
        return [self._output / name for name in names if name != RESULTS]

    def note(self, pages: list[Path]) -> None:
        """Note the pages and the result table with their digests."""
        names = [*(str(page.relative_to(self._output)) for page in pages), RESULTS]
        write_json(self._path, {"source": self._source, "files": _digests(self._output, names)})


def _digests(output: Path, names: Iterable[str]) -> list[list[str]]:
    """Name and sha256 of every file, "" for one that is gone."""
    found = [(name, output / name) for name in names]
    return [[name, hash_file(path) if path.is_file() else ""] for name, path in found]

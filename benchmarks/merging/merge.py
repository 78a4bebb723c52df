"""Output folders of one suite become one: checked first, then copied, then tables and pages as one run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.merging.copies import Chosen, chosen_cells
from benchmarks.merging.coverage import Coverage, check_coverage, coverage, merged_plan
from benchmarks.merging.inputs import Input, MergeError, read_inputs
from benchmarks.merging.sameness import Fact, check_differences, check_jobs, check_suite, differences
from benchmarks.merging.writing import write_job
from benchmarks.plan.code import computing_hash
from benchmarks.plan.recorded import RunPlan, part_facts, read_plan
from benchmarks.run.collect import RunSummary, collect, finished_cells
from benchmarks.run.written import Written
from foundation.files import write_json
from foundation.progress import Tell

MARK = "merged.json"
"""In a merged folder: what it was merged from; a later merge may write there again, a run's own folder is spared."""


@dataclass(frozen=True)
class Checked:
    """Folders that can be merged, and what they come to.

    Attributes
    ----------
    inputs : tuple of Input
    coverage : Coverage
    different : tuple of dict
        Facts of code and environment that differ, and that are allowed to.
    cells : tuple of Chosen
        The copy of each finished cell that stays.
    """

    inputs: tuple[Input, ...]
    coverage: Coverage
    different: tuple[Fact, ...]
    cells: tuple[Chosen, ...]

    @property
    def plan(self) -> RunPlan:
        """What the merged folder was to hold."""
        return merged_plan(self.inputs, self.coverage)

    @property
    def other_code(self) -> bool:
        """Whether this version has other code than that which computed the cells."""
        return any(job.code != computing_hash() for job in self.coverage.held)


def check(folders: Sequence[Path], output: Path, *, partial: bool, allow_different: bool, tell: Tell) -> Checked:
    """Whether folders can be merged; reads every file of every cell, and writes nothing.

    Parameters
    ----------
    folders : sequence of Path
        Output folders of ``fairmoe bench`` or of earlier merges, in any order.
    output : Path
        The merged folder, made later.
    partial : bool
        Whether shards, jobs and cells may be missing.
    allow_different : bool
        Whether code and environment may differ.
    tell : callable

    Raises
    ------
    MergeError
        If they cannot be; the text says why and what to do.
    """
    inputs = read_inputs(folders, output)
    _check_output(inputs, output)
    check_suite(inputs)
    different = differences(inputs)
    if not allow_different:
        check_differences(different)
    check_jobs(inputs)
    found = coverage(inputs)
    if not partial:
        check_coverage(inputs, found)
    steps = _Steps(tell, "checking jobs", len(found.held))
    return Checked(tuple(inputs), found, tuple(different), tuple(chosen_cells(inputs, found.held, steps)))


def write(found: Checked, output: Path, tell: Tell) -> None:
    """Put the cells and what jobs keep into the merged folder; the same call goes on where it was ended."""
    write_json(output / MARK, {"suite_hash": found.plan.suite_hash})
    found.plan.save(output)
    by_job: dict[str, list[Chosen]] = {job.folder: [] for job in found.coverage.held}
    for cell in found.cells:
        by_job[cell.job.folder].append(cell)
    steps = _Steps(tell, "merging cells", len(found.cells))
    for job in found.coverage.held:
        sources = [entry.folder / "jobs" / job.folder for entry in found.inputs]
        write_job(job, by_job[job.folder], [path for path in sources if path.is_dir()], output, steps)


def write_tables(found: Checked, output: Path) -> RunSummary:
    """Tables and pages of a merged folder: of a whole suite, the bytes that one run writes."""
    part = _part(found)
    jobs = list(found.coverage.asked)
    summary = RunSummary(output, len(jobs), 0, found.coverage.unavailable, list(found.coverage.failures), part=part)
    collect(found.coverage.suite, jobs, output, summary)
    if not finished_cells(jobs, output):
        return summary
    from reports.build import write_report

    summary.pages = write_report(output)
    if summary.ok and not part and not found.other_code:
        Written(found.coverage.suite, jobs, output, summary.unavailable).note(summary.pages)
    return summary


def _part(found: Checked) -> dict[str, Any]:
    facts = part_facts(found.plan.shards)
    return facts | ({"different": list(found.different)} if found.different else {})


def _check_output(inputs: Sequence[Input], output: Path) -> None:
    """Refuse a folder that holds anything but an earlier merge of the same suite."""
    left = [path for path in output.iterdir() if path.name != ".lock"] if output.is_dir() else []
    if not left:
        return
    known = read_plan(output)
    if not (output / MARK).is_file() or (known is not None and known.suite_hash != inputs[0].plan.suite_hash):
        raise MergeError(
            f"The output {output} is there already and is no merge of this suite. Give a new folder with --output: "
            "nothing that is there is written over."
        )


class _Steps:
    """Counts calls and hands the count on."""

    def __init__(self, tell: Tell, what: str, total: int) -> None:
        self._tell, self._what, self._total, self._done = tell, what, total, 0

    def __call__(self) -> None:
        self._done += 1
        self._tell(self._what, self._done, self._total)

"""What people see of a discovery: a bar for the step that runs, a line for each that is done, tables at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.discovering.step import Step
from foundation.console import styled
from foundation.escaping import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

STATES = {True: ("passed", "green"), False: ("FAILED", "bold red"), None: ("not measured", "yellow")}


class Shown:
    """A watcher that shows steps on a console.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: Any = None

    @contextmanager
    def bars(self) -> Iterator[Shown]:
        """Bars while the body runs."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        label = TextColumn("{task.description}", markup=False)
        columns = (label, BarColumn(bar_width=30), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as self._bar:
            yield self

    def note(self, text: str) -> None:
        """A line that people should read."""
        self._console.print(styled("note", "bold yellow", f" {printable(text)}"), highlight=False)

    def begin(self, step: Step, number: int, count: int) -> None:
        """The step's bar."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(f"{number}/{count} {step.label}", total=None)

    def progress(self, done: int, total: int) -> None:
        """How far its bar is."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def end(self, step: Step, result: Mapping[str, Any], was_there: bool) -> None:
        """A line of what came of it."""
        seconds = float(result.get("seconds") or 0)
        word = "was done" if was_there else f"{seconds:.0f} s"
        said = printable(step.words(result)) if not result.get("skipped") else printable(str(result["skipped"]))
        self._console.print(styled(f"{step.name}", "bold", f" ({word}) {said}"), highlight=False)


def show_shares(seconds: Mapping[str, float], console: Console, title: str = "time") -> None:
    """Seconds of every step and their share of all."""
    from rich.table import Table

    table, total = Table(title=title), sum(seconds.values()) or 1.0
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for name, value in seconds.items():
        table.add_row(name, f"{value:,.1f}", f"{value / total:.0%}")
    table.add_row("all", f"{sum(seconds.values()):,.1f}", "", style="bold")
    console.print(table)


def show_gates(gates: Sequence[Mapping[str, Any]], console: Console) -> None:
    """All gates under their stages: passed, failed, or why they were not measured."""
    from rich.table import Table
    from rich.text import Text

    table, stage = Table(title="gates", show_lines=False), ""
    table.add_column("gate", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column("bound", justify="right")
    table.add_column("")
    for gate in gates:
        if gate["stage"] != stage:
            stage = gate["stage"]
            table.add_row(Text(printable(stage), style="bold"), "", "", "")
        word, style = STATES[gate["passed"]]
        why = f": {printable(gate['reason'])}" if gate["passed"] is None and gate["reason"] else ""
        table.add_row(printable(gate["label"]), _number(gate["value"]), _bound(gate), Text(f"{word}{why}", style=style))
    console.print(table)


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else printable(str(value))


def _bound(gate: Mapping[str, Any]) -> str:
    bound = gate["bound"]
    if isinstance(bound, list):
        return f"{bound[0]:g} to {bound[1]:g}"
    return f"{gate['relation']} {_number(bound)}"

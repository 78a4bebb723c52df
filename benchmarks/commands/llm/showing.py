"""What the verbs of ``fairmoe llm`` show: progress, and facts as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foundation.escaping import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console


def pretraining(console: Console) -> Any:
    """Progress of a pretraining: appears with its first report."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Any:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("pretraining nano"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.3f}", markup=False),
        )
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task: list[Any] = []

            def report(now: Any) -> None:
                if not task:
                    task.append(bar.add_task("", total=1.0, loss=now.loss))
                bar.update(task[0], completed=now.share, loss=now.loss)

            yield report

    return shown()


def steps_shown(words: str, console: Console) -> Any:
    """Progress of so many steps."""
    from contextlib import contextmanager

    from foundation.progress import counted_bars

    @contextmanager
    def shown() -> Any:
        with counted_bars(console, transient=True) as bars:
            bars.tell(words, 0, 0)
            yield lambda done, total: bars.tell(words, done, total)

    return shown()


def print_facts(title: str, facts: dict[str, Any], console: Console) -> None:
    """Print names and values."""
    from rich.table import Table

    table = Table(title=title, show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for name, value in facts.items():
        if isinstance(value, dict):
            for key, item in value.items():
                table.add_row(f"{name}: {key}", _word(item))
        else:
            table.add_row(name, _word(value))
    console.print(table)


def clipped(text: str, width: int) -> str:
    """Text of users on one line of at most ``width`` signs; the middle of a longer one is left out."""
    line = printable(one_line(text))
    if len(line) <= width:
        return line
    tail = max(1, width // 4)
    return f"{line[: width - tail - 3].rstrip()} … {line[-tail:].lstrip()}"


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

"""``fairmoe llm train`` for items of a file or a family: what is asked, what it will cost, what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from foundation.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from benchmarks.making.together import Outcome
    from llm_experts.training.loop.assignment import Progress

NOT_ASKED = ("config", "output", "dry_run", "set_", "option")


def train_records(given: Mapping[str, Any], output: Path) -> None:
    """Train what a command asks for, and say what came of it.

    Parameters
    ----------
    given : mapping
        Options of ``fairmoe llm train`` that were given.
    output : Path
        Every expert has a folder in it.
    """
    from benchmarks.making.plan import plan_of
    from benchmarks.making.reading import asked
    from benchmarks.making.together import make

    console = plain_console(highlight=False)
    said, notes = _said(given)
    found = asked(given.get("config"), said)
    notes_shown([*found.notes, *notes], console)
    configs = found.config.each()
    if given.get("dry_run"):
        for line in plan_of(configs, output, loading(console)):
            console.print(line, soft_wrap=True)
        return
    with progress_shown(console) as progress, stopping(console) as stop:
        outcomes = make(configs, output, load=loading(console), progress=progress, stop=stop, one_must=True)
    print_outcomes(outcomes, console)
    tracked(output, console)


def notes_shown(notes: Sequence[str], console: Console) -> None:
    """Notes, a line each."""
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)


@contextmanager
def stopping(console: Console) -> Iterator[Callable[[], bool]]:
    """What training asks before every step: Ctrl-C ends it there, with a checkpoint; a second one ends it at once."""
    import signal

    from llm_experts.training.loop.group import TrainingStopped

    asked = False

    def ask(_number: int, _frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.print("Ctrl-C: ending after this step; once more ends at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    except (TrainingStopped, KeyboardInterrupt):
        console.print("\nInterrupted. Checkpoints are kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGINT, before)


def tracked(output: Path, console: Console) -> None:
    """Send finished experts to MLflow; a store that is down is a note."""
    from benchmarks.tracking.experts import send_experts

    with console.status("Sending to MLflow"):
        wrong = send_experts(output)
    if wrong:
        console.print(f"note: {wrong}", soft_wrap=True)


def _said(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings of a command in the names of a configuration, and notes on those of ``--set`` that change nothing."""
    from benchmarks.making.error import ConfigError
    from benchmarks.making.foreign import translated
    from benchmarks.making.methods import split_options

    said = {name: value for name, value in given.items() if name not in NOT_ASKED}
    if "seeds" in said:
        said["seeds"] = _seeds(str(said["seeds"]))
    if given.get("option"):
        said["options"] = split_options(given["option"])
    more, notes = translated(split_options(given.get("set_") or []))
    for name, value in more.items():
        if name in said and not isinstance(value, dict):
            raise ConfigError(f"--set {name} and --{name.replace('_', '-')} say the same; keep one.")
        said[name] = said[name] | value if isinstance(value, dict) and isinstance(said.get(name), dict) else value
    return said, notes


def _seeds(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    try:
        found = tuple(int(word) for word in words)
    except ValueError:
        found = ()
    if not found or len(set(found)) < len(found):
        raise typer.BadParameter(f"--seeds {text!r} are no seeds; write different whole numbers, such as 0,1,2.")
    return found


def loading(console: Console) -> Callable[..., Any]:
    """What loads a base and shows how nano is pretrained."""
    from benchmarks.commands.llm.loading import load

    return lambda name, dtype, quantisation, device: load(name, dtype, quantisation, device, console)


@contextmanager
def progress_shown(console: Console) -> Iterator[Callable[[Progress], None]]:
    """A bar for experts that train together: steps, loss and score of each, time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[tuple[str, ...], Any] = {}

        def show(now: Progress) -> None:
            if now.names not in tasks:
                tasks[now.names] = bars.add_task("", total=now.steps)
            bars.update(tasks[now.names], completed=now.step, total=now.steps, description=_words(now))

        yield show


def _words(now: Progress) -> str:
    left = "" if now.seconds_left is None else f", {now.seconds_left / 60:.0f} min left"
    shown = [f"loss {told['loss']:.3f}" for told in now.figures.values() if "loss" in told][:1]
    scores = [told["score"] for told in now.figures.values() if "score" in told]
    if scores:
        shown.append(f"last score {max(scores):.3f}" if len(scores) == 1 else f"best last score {max(scores):.3f}")
    return ", ".join(shown) + left


def print_outcomes(outcomes: Sequence[Outcome], console: Console) -> None:
    """A table of experts, what was noticed, where they are, and what to run next."""
    from rich.table import Table

    table = Table()
    for column in ("expert", "what", "score", "best step", "parameters", "seconds"):
        table.add_column(column, overflow="fold", justify="left" if column in ("expert", "what") else "right")
    for one in outcomes:
        table.add_row(one.name, one.state, _number(one.score), _number(one.best_step), _number(one.parameters),
                      _number(one.seconds))  # fmt: skip
    console.print(table)
    for one in outcomes:
        for note in (*one.notes, *([one.why] if one.why else [])):
            console.print(f"{one.name}: {note}", soft_wrap=True)
    good = [one for one in outcomes if one.folder is not None]
    if good:
        folder = shlex.quote(str(good[0].folder))
        console.print(f"written: {', '.join(str(one.folder) for one in good)}", soft_wrap=True)
        items = good[0].items or "--data VALIDATION.jsonl"
        console.print(f"Next: fairmoe llm validate {folder} {items}", soft_wrap=True)
        console.print(f"  and then: fairmoe package {folder} (one file for others)", soft_wrap=True)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"

"""``fairmoe llm train-all``: every expert that a folder of configurations describes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.training.train_records import (
    loading,
    notes_shown,
    print_outcomes,
    progress_shown,
    stopping,
    tracked,
)
from foundation.console import plain_console

if TYPE_CHECKING:
    from benchmarks.making.config import Config
    from benchmarks.making.together import Outcome


def train_all(
    folder: Annotated[Path, typer.Argument(help="Holds a .toml or .json file for every expert.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Name of an expert to train; may be repeated. Default: all.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Every expert gets a folder of its name in it.")] = Path("results/llm"),
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Train the others where one fails, or end there.")
    ] = True,
) -> None:
    """Train the experts of all configurations in a folder; those that are finished are not trained again.

    Experts of one base share it, and those whose settings have one shape train together. One whose settings or data
    have changed is trained anew; what was there is kept beside it. The exit code is 1 if one failed.

    Examples: fairmoe llm train-all experts · fairmoe llm train-all experts --only parser --output results/parsers
    """
    from benchmarks.making.reading import asked, config_files
    from benchmarks.making.together import failed, make

    console = plain_console(highlight=False)
    configs: list[Config] = []
    outcomes: list[Outcome] = []
    for path in config_files(folder):
        try:
            found = asked(path, {})
        except ValueError as error:
            if not keep_going:
                raise
            if only is None or path.stem in only:
                outcomes.append(failed(path.stem, error, output))
            continue
        each = [config for config in found.config.each() if only is None or {config.called, path.stem} & set(only)]
        if each:
            notes_shown(found.notes, console)
        configs += each
    if only is not None and not (configs or outcomes):
        raise typer.BadParameter(f"No configuration in {folder} is called {' or '.join(only)}.")
    with progress_shown(console) as progress, stopping(console) as stop:
        outcomes += make(configs, output, load=loading(console), progress=progress, stop=stop, one_must=not keep_going)
    print_outcomes(outcomes, console)
    tracked(output, console)
    if any(outcome.state == "failed" for outcome in outcomes):
        raise typer.Exit(1)

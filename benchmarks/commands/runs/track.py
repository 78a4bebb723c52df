"""``fairmoe track``: results and the tracking store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, help="Send results to the MLflow store (MLFLOW_TRACKING_URI, else the embedded one)."
)


@app.command()
def sync(
    folder: Annotated[Path, typer.Argument(help="Output folder of a bench or tune run.")] = Path("results"),
) -> None:
    """Send every finished cell that the store does not have yet; a sync that was ended goes on where it was.

    The store is a tracking server (http://…), a database (postgresql://…) or, by default, a file of your own.

    Examples: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 fairmoe track sync results/default ·
    MLFLOW_TRACKING_URI=postgresql://ann@db/mlflow fairmoe track sync results/default
    """
    from contextlib import ExitStack

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from benchmarks.tracking.mlflow_store import TrackingError, finished_cells, open_tracker, send_all
    from foundation.console import plain_console
    from foundation.folder_lock import folder_lock

    cells = list(finished_cells(folder)) or [cell for sub in sorted(folder.glob("*")) for cell in finished_cells(sub)]
    if not cells:
        raise TrackingError(
            f"No finished cells under {folder}. Give the output folder of 'fairmoe bench', such as results/quick."
        )
    tracker = open_tracker()
    with ExitStack() as stack:
        for output in sorted({cell.parents[3] for cell in cells}):  # output/jobs/job/cells/cell
            stack.enter_context(folder_lock(output, "fairmoe track sync"))
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        console = plain_console()
        bars = stack.enter_context(
            Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        )
        bar = bars.add_task("sending", total=len(cells))
        send_all(tracker, cells, lambda: bars.advance(bar))
    typer.echo(f"{len(cells)} cells are in {tracker.name}. Browse them with: fairmoe ui")


@app.command()
def experts(
    folder: Annotated[Path, typer.Argument(help="Output folder of 'fairmoe llm train' or 'train-all'.")] = Path(
        "results/llm"
    ),
) -> None:
    """Send every trained language expert that the store does not have yet; docs/making_experts.md names what is sent.

    Example: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 fairmoe track experts results/llm
    """
    from benchmarks.saving.trained import finished_experts
    from benchmarks.tracking.experts import ADVICE, EXPERIMENT, send_all_experts, unsent_experts
    from benchmarks.tracking.mlflow_store import TrackingError, open_tracker

    found = list(finished_experts(folder))
    if not found:
        raise TrackingError(f"No trained experts at or below {folder}. Give the output folder of 'fairmoe llm train'.")
    tracker = open_tracker(ADVICE, EXPERIMENT)
    send_all_experts(tracker, unsent_experts(folder))
    typer.echo(f"{len(found)} experts are in {tracker.name}. Browse them with: fairmoe ui")


@app.command()
def discovery(
    folder: Annotated[Path, typer.Argument(help="Output folder of 'fairmoe discover'.")] = Path("results/discover"),
) -> None:
    """Send a discovery that the store does not have as it is now; docs/discovery_metrics.md names what is sent.

    Example: MLFLOW_TRACKING_URI=http://127.0.0.1:5000 fairmoe track discovery results/discover/first
    """
    from benchmarks.discovering.tracking import ADVICE, EXPERIMENT, send
    from benchmarks.tracking.mlflow_store import open_tracker

    tracker = open_tracker(ADVICE, EXPERIMENT)
    run_id = send(tracker, folder)
    typer.echo(f"{folder} is in {tracker.name} as run {run_id}. Browse it with: fairmoe ui")

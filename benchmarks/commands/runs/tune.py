"""``fairmoe tune``: the three experts of one data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.options import Epsilon, Protocol, Seed, Space, Split, check_storage
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.run.roles import TunedRoles


def tune(
    dataset: Annotated[str, typer.Option(help="Task, such as bail or adult:sex, or the path of a card.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials per role.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Trials trained at once.")] = 15,
    space: Space = "published",
    epsilon: Epsilon = 0.02,
    protocol: Protocol = "robust",
    split: Split = 0,
    seed: Seed = 0,
    use_sensitive: Annotated[str, typer.Option(help="keep or drop the sensitive columns as features.")] = "keep",
    storage: Annotated[
        str,
        typer.Option(
            help="Database of the studies (postgresql://…): the same command elsewhere, with another output folder, "
            "then shares the trials."
        ),
    ] = "",
    output: Annotated[Path, typer.Option(help="Output folder; trials found in it are kept.")] = Path("results/tune"),
) -> None:
    """Tune the utility, result and procedural expert (expert1, expert2, expert3) of one data set on validation rows.

    Test rows are not touched. Interrupt it at any time: the same command goes on. Results:
    DATASET_EXPERT_tuning_results.json, DATASET_expert_tuning_summary.json and the best weights.

    Examples: fairmoe tune --dataset bail --trials 50 · fairmoe tune --dataset german --space wide ·
    fairmoe tune --dataset bail --storage postgresql://ann@db/studies --output results/second
    """
    from benchmarks.run.roles import tune_roles
    from benchmarks.run.telling.progress import show_progress
    from experts.tuning.tuned import unordered
    from foundation.folder_lock import folder_lock

    check_storage(storage)
    console = plain_console()
    try:
        with folder_lock(output, f"fairmoe tune --dataset {dataset}"), show_progress({"": 1.0}, console) as progress:
            tuned = tune_roles(
                dataset, output, progress.notify, trials=trials, batch=batch, space=space, epsilon=epsilon,
                protocol=protocol, split=split, seed=seed, use_sensitive=use_sensitive, storage=storage,
            )  # fmt: skip
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished batches of trials are kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    console.print(_table(tuned))
    for chosen in tuned.best.values():
        if chosen.note:
            console.print(styled("NOTE", "bold yellow", f" {chosen.role}: {chosen.note}"), soft_wrap=True)
        if order := unordered(max(chosen.drivers, tuned.best["utility"].drivers)):  # which sets the floor
            console.print(styled("NOTE", "bold yellow", f" {chosen.role}: {order}"), soft_wrap=True)
    _track(tuned.cells, console)
    console.print(f"results: {tuned.folder}\nnext: fairmoe bench quick --task {dataset}", soft_wrap=True)


def _table(tuned: TunedRoles) -> Table:
    from rich.table import Table

    table = Table(title=f"{tuned.name}: chosen on validation rows ({tuned.space} space)")
    for column in ("expert", "trial", "utility", "fair_res", "fair_proc", "parameters"):
        table.add_column(column)
    for role, chosen in tuned.best.items():
        metrics = [chosen.best_metrics.get(f"{m}@1") for m in ("utility", "fair_res", "fair_proc")]
        numbers = ["–" if m is None else f"{m:.4f}" for m in metrics]
        params = ", ".join(f"{k} {v:.3g}" for k, v in chosen.best_params.items())
        table.add_row(role, str(chosen.best_trial), *numbers, params)
    return table


def _track(cells: list[Path], console: Console) -> None:
    from benchmarks.tracking.mlflow_store import TrackingError, open_tracker, send_all, unsent

    try:
        left = unsent(cells)
        if left:
            send_all(open_tracker(), left)
    except TrackingError as error:
        console.print(styled("TRACKING", "bold yellow", f" {error}"), soft_wrap=True)

"""``fairmoe tune``: the three experts of one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune(
    dataset: Annotated[str, typer.Option(help="Task, such as bail or adult:sex, or the path of a card.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials per role.")] = 50,
    batch: Annotated[int, typer.Option(min=1, help="Trials trained at once.")] = 15,
    space: Annotated[str, typer.Option(help="published, or wide (a wider learning-rate range).")] = "published",
    epsilon: Annotated[float, typer.Option(min=0, help="Validation utility that a fair expert may cost.")] = 0.02,
    protocol: Annotated[str, typer.Option(help="robust (stratified) or nifty (the published split).")] = "robust",
    split: Annotated[int, typer.Option(min=0, help="Which repetition of the robust split.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of split, trials and weights.")] = 0,
    use_sensitive: Annotated[str, typer.Option(help="keep or drop the sensitive columns as features.")] = "keep",
    output: Annotated[Path, typer.Option(help="Output folder; trials found in it are kept.")] = Path("results/tune"),
) -> None:
    """Tune the utility, result and procedural expert (expert1, expert2, expert3) of one data set on validation rows.

    Test rows are not touched. Interrupt it at any time: the same command goes on. Results:
    DATASET_EXPERT_tuning_results.json, DATASET_expert_tuning_summary.json and the best weights.

    Examples: fairmoe tune --dataset bail --trials 50 · fairmoe tune --dataset german --space wide
    """
    from rich.console import Console

    from benchmarks.commands.tune_roles import run_tuning

    console = Console()
    try:
        run_tuning(
            dataset, output, console, trials=trials, batch=batch, space=space, epsilon=epsilon, protocol=protocol,
            split=split, seed=seed, use_sensitive=use_sensitive,
        )  # fmt: skip
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished batches of trials are kept: run the same command again to go on.")
        raise typer.Exit(130) from None

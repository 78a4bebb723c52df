"""Options of ``fairmoe llm train`` for items of a file or a family, and which of both halves a command means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

PANEL = "Items of a file or a family"


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=PANEL, **more)


Data = Annotated[
    Path | None, _option("JSON lines to learn from: prompt and completion, a conversation, or a pair of answers.")
]
FamilyName = Annotated[str | None, _option("Family of generated or published tasks to learn, in place of --data.")]
ConfigFile = Annotated[Path | None, _option("Settings from a .toml or .json file; options here go before it.")]
MethodName = Annotated[str, _option("Trainer; 'fairmoe llm methods' lists them with their options.")]
Name = Annotated[str, _option("Of the expert and its folder; default: of data, method and kind.")]
Validation = Annotated[
    Path | None, _option("Items that choose the checkpoint; default: a tenth of --data, disjoint by prompt.")
]
Count = Annotated[int, _option("Training items of the family.", min=1)]
ValidationCount = Annotated[int, _option("Validation items of the family.", min=1)]
Difficulty = Annotated[float | None, _option("Of the family's items, 0 to 1; default: all.", min=0, max=1)]
Judge = Annotated[str | None, _option("Family whose checker judges answers to --data.")]
After = Annotated[Path | None, _option("Folder of an expert that is trained on, such as for --method ewc.")]
Preset = Annotated[str, _option("auto: settings where none are given go by base, kind and items; none.")]
Rank = Annotated[int | None, _option("Rank, or number of virtual tokens.", min=1)]
LearningRate = Annotated[float | None, _option("Peak learning rate.", min=0)]
Epochs = Annotated[float | None, _option("Passes over the items.", min=0)]
BatchSize = Annotated[int | None, _option("Items of an optimiser step.", min=1)]
Seeds = Annotated[str, _option("An expert for each seed, such as 0,1,2; they train together.")]
Options = Annotated[list[str] | None, _option("Option of the method, NAME=VALUE; may be repeated.")]
SetAny = Annotated[
    list[str] | None, _option("Any other setting as in --config, such as packing=true; may be repeated.", "--set")
]
Engine = Annotated[str, _option("fairmoe, or trl: TRL's trainers, for several GPUs.")]
DryRun = Annotated[bool, _option("Show settings, parameters, memory and time; train nothing.", "--dry-run")]

SHARED = frozenset({"kind", "base", "revision", "dtype", "quantisation", "device", "start", "steps", "seed", "output"})
SOURCES = ("task", "data", "family", "config")


def dispatched(context: typer.Context, **records: Any) -> bool:
    """Train on items if that is what the command asks for; False: it asks for rows of a task.

    Parameters
    ----------
    context : typer.Context
        Of the command: what was given and what is a default.
    records
        Parameters that belong to items.

    Raises
    ------
    typer.BadParameter
        If it says of neither or both what to learn from, or has options of the other half.
    """
    given = _given(context)
    own = given.keys() & records.keys()
    named = [f"--{name}" for name in SOURCES if name in given]
    if not named:
        raise typer.BadParameter(
            "Name what to learn from: --task (rows of a task), --data (a file of items), --family (a family of tasks) "
            "or --config (a file that names one)."
        )
    if ("task" in given and len(named) > 1) or {"data", "family"} <= given.keys():
        raise typer.BadParameter(f"{' and '.join(named)} cannot be had together; give one of them.")
    rows = "task" in given
    strange = sorted(own if rows else given.keys() - own - SHARED)
    if strange:
        whose, other = ("items (--data, --family)", "--task") if rows else ("rows of a task (--task)", named[0])
        raise typer.BadParameter(f"{_flag(strange[0])} belongs to {whose}, not to {other}; leave it out.")
    if rows:
        return False
    from benchmarks.commands.llm.training.train_records import train_records

    train_records(given, output=context.params["output"])
    return True


def _given(context: typer.Context) -> dict[str, Any]:
    """Parameters that the command line or the environment gives, without defaults."""
    told = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT"):
            told[name] = value
    return told


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"

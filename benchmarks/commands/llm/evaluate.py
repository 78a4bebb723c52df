"""``fairmoe llm evaluate``: score an expert on test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.llm.loading import experts_of, load, seen_rows
from benchmarks.commands.llm.options import BaseName, Device, Dtype, Protocol, Quantisation, Seed, Seen, TaskName
from benchmarks.commands.options import Split
from foundation.console import plain_console


def evaluate(
    expert: Annotated[Path, typer.Argument(help="Folder of an expert that 'fairmoe llm train' wrote.")],
    task: TaskName,
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    split: Split = 0,
    seed: Seed = 0,
    protocol: Protocol = "robust",
    allow_seen: Seen = False,
) -> None:
    """Score an expert on the test rows of a task: every fixed metric with its interval.

    Rows that trained, chose or calibrated the expert flatter it: with such rows among the test rows (another split or
    seed than the expert's) nothing is scored unless you ask for it with --allow-seen.

    Example: fairmoe llm evaluate results/llm/german_split0_seed0/german_llm_lora_utility_best --task german
    """
    from benchmarks.commands.score_table import print_table
    from experts.evidence import collect_evidence
    from metrics.score import score
    from tasks.load import load_task

    console = plain_console()
    found = experts_of([expert], load(base, dtype, quantisation, device, console))[0]
    loaded = load_task(task, split=split, seed=seed, protocol=protocol)
    rows = loaded.split.test
    note = seen_rows(expert, found, loaded.view(), rows, "test", allow=allow_seen)
    with console.status(f"reading {len(rows)} test rows, each column left out once"):
        evidence = collect_evidence(found, loaded.view(), rows)
    scores = score(evidence, loaded.labels[rows], loaded.groups[rows], loaded.group_names, seed=seed)
    print_table({"task": loaded.name, "protocol": protocol, "split": split, "rows": len(rows)}, scores)
    if note:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    mass = found.answer_mass(loaded.view(), loaded.split.validation)
    console.print(f"answer mass on validation rows: mean {mass.mean:.3f}, below 0.1 on {mass.low:.0%} of them")

"""``fairmoe llm evaluate``: score an expert on test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.llm.loading import base_named, experts_of, load, rows_explained, seen_rows
from benchmarks.commands.llm.options import (
    AnyExpert,
    BaseName,
    Device,
    Dtype,
    Protocol,
    Quantisation,
    Revision,
    Seed,
    Seen,
    TaskName,
)
from benchmarks.commands.options import Split
from foundation.console import plain_console


def evaluate(
    expert: Annotated[str, typer.Argument(help=f"An expert: {AnyExpert}.")],
    task: TaskName,
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    explained: Annotated[
        int | None,
        typer.Option(min=1, help="Test rows whose reasons are measured; default: all of them, 64 on a large base."),
    ] = None,
    split: Split = 0,
    seed: Seed = 0,
    protocol: Protocol = "robust",
    allow_seen: Seen = False,
    promise: Annotated[
        bool,
        typer.Option("--promise", help="Write the scores into the saved model, so that a package of it holds them."),
    ] = False,
) -> None:
    """Score an expert on the test rows of a task: every fixed metric with its interval.

    Rows that trained, chose or calibrated the expert flatter it: with such rows among the test rows (another split or
    seed than the expert's) nothing is scored unless you ask for it with --allow-seen.

    With --promise the expert is a saved model (the ..._model of fairmoe llm train), whose promise.json then says what
    was measured: fairmoe package puts it into the manifest, fairmoe monitor compares new rows with it.

    Examples: fairmoe llm evaluate results/llm/german_split0_seed0/german_llm_lora_utility_model --task german --promise
    · fairmoe llm evaluate german-text --task german
    """
    from benchmarks.commands.score_table import print_table
    from benchmarks.models.promise import promise_of
    from benchmarks.models.text_experts import text_expert_folders
    from benchmarks.saving.layout import MODEL
    from experts.evidence import collect_evidence
    from metrics.score import score
    from tasks.load import load_task

    console, place = plain_console(), Path(expert)
    if promise and (allow_seen or not (place / MODEL).is_file()):
        raise typer.BadParameter(
            f"--promise writes what test rows say into a saved model, a folder with {MODEL} such as the ..._model that "
            "'fairmoe llm train' writes; rows that the expert has seen (--allow-seen) promise nothing."
        )
    base = base_named(base, revision)
    base_model = load(base, dtype, quantisation, device, console)
    with text_expert_folders([expert]) as folders:
        found = experts_of(folders, base_model)[0]
    loaded = load_task(task, split=split, seed=seed, protocol=protocol)
    rows = loaded.split.test
    note = seen_rows(expert, found, loaded.view(), rows, "test", allow=allow_seen)
    few = rows_explained(loaded, rows, base_model, explained, seed)
    shown = len(rows) if few is None else len(few)
    with console.status(f"reading {len(rows)} test rows, {shown} of them with each column left out once"):
        evidence = collect_evidence(found, loaded.view(), rows, few)
    scores = score(evidence, loaded.labels[rows], loaded.groups[rows], loaded.group_names, seed=seed)
    if promise:
        promise_of(loaded, evidence.probability, evidence=evidence, seed=seed).write(place)
    print_table({"task": loaded.name, "protocol": protocol, "split": split, "rows": len(rows)}, scores)
    if few is not None:
        console.print(f"reasons of {shown} of {len(rows)} test rows, drawn by label and group (--explained)")
    if note:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    mass = found.answer_mass(loaded.view(), loaded.split.validation)
    console.print(f"answer mass on validation rows: mean {mass.mean:.3f}, below 0.1 on {mass.low:.0%} of them")
    if promise:
        console.print(f"promised in {place}. Next: fairmoe package {place} --name NAME --author YOU", soft_wrap=True)

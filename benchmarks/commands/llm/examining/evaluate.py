"""``fairmoe llm evaluate``: score an expert on test rows, or experts on test items of a family or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.examining.examination import Asked, examine_experts, run_harness
from benchmarks.commands.llm.loading import base_named, experts_of, load, rows_explained, seen_rows
from benchmarks.commands.llm.options import (
    AnyExpert,
    BaseName,
    Device,
    Dtype,
    Quantisation,
    Requests,
    Revision,
    Seen,
    Style,
)
from benchmarks.commands.options import Protocol, Seed, Split
from foundation.console import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from llm_experts.bases.base import Base


def evaluate(
    expert: Annotated[
        list[str] | None, typer.Argument(help=f"Experts: each {AnyExpert}. Several are composed.")
    ] = None,
    also: Annotated[list[str] | None, typer.Option("--expert", help="The same, by name (repeat the option).")] = None,
    task: Annotated[str | None, typer.Option(help="Rows: a task such as german or adult:sex@1000, or a card.")] = None,
    family: Annotated[str | None, typer.Option(help="Items: a task family ('fairmoe llm families').")] = None,
    data: Annotated[Path | None, typer.Option(help="Items: a file of JSON lines with prompts and completions.")] = None,
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    weights: Annotated[
        str | None, typer.Option(help="Of several experts, such as 0.5,1 in their order; default: 1 each.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="Also examine every expert of a composition alone.")] = False,
    count: Annotated[
        int, typer.Option(min=1, help="Items of a family, or of each task of lm-evaluation-harness.")
    ] = 200,
    difficulty: Annotated[float | None, typer.Option(min=0, max=1, help="Of a family's items; default: a mix.")] = None,
    judge: Annotated[str | None, typer.Option(help="Family whose checker judges the answers to a file.")] = None,
    scores: Annotated[
        list[str] | None, typer.Option("--score", help="Scores instead of the set's own, such as pass@5 (repeat it).")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each item, for pass@k.")] = 1,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Of answers; default: 0 for one, 0.8 for several.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; default: the family's own, else 128.")
    ] = None,
    style: Style = "auto",
    batch: Requests = 16,
    trained_on: Annotated[
        Path | None, typer.Option(help="The expert's training data: what of the test items stands in it is told.")
    ] = None,
    lm_eval: Annotated[
        list[str] | None,
        typer.Option("--lm-eval", help="Tasks of lm-evaluation-harness instead, where it is installed (repeat it)."),
    ] = None,
    lm_eval_tasks: Annotated[Path | None, typer.Option(help="Folder of own tasks of lm-evaluation-harness.")] = None,
    explained: Annotated[
        int | None,
        typer.Option(min=1, help="Test rows whose reasons are measured; default: all of them, 64 on a large base."),
    ] = None,
    split: Split = 0,
    seed: Seed = 0,
    protocol: Protocol = "robust",
    allow_seen: Seen = False,
    allow_untrusted: Annotated[
        bool, typer.Option(help="Also .expert files that nobody whom you trust signed.")
    ] = False,
    promise: Annotated[
        bool,
        typer.Option(
            "--promise", help="Write the scores into the expert's folder, so that a package of it holds them."
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of tables and answers on items.")] = None,
) -> None:
    """Score experts on what nothing was chosen by: test rows of a task, or test items of a family or a file.

    Items: the base is asked the same, and every score stands beside the base's with the difference, its interval and
    a paired test. Several experts are examined as one composition. Answers are kept: an interrupted examination goes
    on, and the same one asks nothing again. Fewer than 30 items are refused.

    Rows that trained, chose or calibrated the expert flatter it: with such rows among the test rows (another split or
    seed than the expert's) nothing is scored unless you ask for it with --allow-seen.

    With --promise the scores are written into the saved expert: fairmoe package puts them into the manifest.

    Examples: fairmoe llm evaluate results/llm/german_split0_seed0/german_llm_lora_utility_model --task german --promise
    · fairmoe llm evaluate results/experts/sums --family arithmetic · fairmoe llm evaluate a b --weights 0.5,1
    --data test.jsonl --trained-on train.jsonl · fairmoe llm evaluate coder --family mbpp --samples 10 --score pass@5
    """
    console, experts = plain_console(), [*(also or []), *(expert or [])]
    told = [name for name, given in (("--task", task), ("--family", family), ("--data", data)) if given is not None]
    if len(told) + bool(lm_eval) != 1:
        raise typer.BadParameter(
            f"Say what to evaluate on, once: {' and '.join(told) or 'nothing'} given. --task german scores rows, "
            "--family arithmetic or --data test.jsonl items, --lm-eval TASK what lm-evaluation-harness asks."
        )
    base = base_named(base, revision)
    if task is not None:
        if len(experts) != 1:
            raise typer.BadParameter(f"--task scores one expert on rows, {len(experts)} given; name one.")
        _check_promise(experts[0], promise=promise, allow_seen=allow_seen)
        loaded = load(base, dtype, quantisation, device, console)
        return _rows(experts[0], loaded, task, split, seed, protocol, allow_seen, explained, promise, console)
    if not experts and not lm_eval:
        raise typer.BadParameter(f"Name the experts: each {AnyExpert}.")
    loaded = load(base, dtype, quantisation, device, console)
    if lm_eval:
        return run_harness(
            loaded, experts, lm_eval, weights=weights, own_tasks=lm_eval_tasks, limit=count, batch=batch, seed=seed,
            output=output, allow_untrusted=allow_untrusted, console=console,
        )  # fmt: skip
    asked = Asked(
        family=family, data=data, part="test", count=count, seed=seed, difficulty=difficulty, judge=judge,
        scores=tuple(scores or ()), samples=samples, temperature=temperature, max_new_tokens=max_new_tokens,
        style=style, batch=batch, trained_on=trained_on,
    )  # fmt: skip
    examine_experts(
        loaded, base, experts, asked, weights=weights, each=each, promise=promise, output=output,
        allow_untrusted=allow_untrusted, console=console,
    )  # fmt: skip
    return None


def _check_promise(expert: str, *, promise: bool, allow_seen: bool) -> None:
    from benchmarks.saving.layout import MODEL

    if promise and (allow_seen or not (Path(expert) / MODEL).is_file()):
        raise typer.BadParameter(
            f"--promise writes what test rows say into a saved model, a folder with {MODEL} such as the ..._model that "
            "'fairmoe llm train' writes; rows that the expert has seen (--allow-seen) promise nothing."
        )


def _rows(
    expert: str,
    base: Base,
    task: str,
    split: int,
    seed: int,
    protocol: Any,
    allow_seen: bool,
    explained: int | None,
    promise: bool,
    console: Console,
) -> None:
    """Every fixed metric of an expert on the test rows of a task."""
    from benchmarks.commands.models.score_table import print_table
    from benchmarks.models.promise import promise_of
    from benchmarks.models.text_experts import text_expert_folders
    from experts.evidence import collect_evidence
    from metrics.score import score
    from tasks.load import load_task

    place = Path(expert)
    with text_expert_folders([expert]) as folders:
        found = experts_of(folders, base)[0]
    loaded = load_task(task, split=split, seed=seed, protocol=protocol)
    rows = loaded.split.test
    note = seen_rows(expert, found, loaded.view(), rows, "test", allow=allow_seen)
    few = rows_explained(loaded, rows, base, explained, seed)
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

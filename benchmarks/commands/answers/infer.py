"""``fairmoe infer``: files of prompts or rows, answered by experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.answers.engine_options import (
    AllowUntrusted,
    Base,
    Device,
    Experts,
    MaxTokens,
    RopeScaling,
    Router,
    Seed,
    Stop,
    Temperature,
    TopK,
    TopP,
    sampling_of,
)
from foundation.console import plain_console

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.asking.files import Advance
    from benchmarks.asking.results import Results
    from serving.engine import ExpertEngine
    from serving.request import Experts as Asked

PART = 1_000
"""Rows of a request."""
MOST = 128
"""Tokens of an answer, where neither the user nor a package says."""


def infer(
    source: Annotated[
        Path, typer.Argument(help="Prompts (.jsonl, .csv, .parquet with prompt or messages), or rows of a row expert.")
    ],
    output: Annotated[Path, typer.Option(help="Answers: .jsonl, or .csv.")] = Path("answers.jsonl"),
    experts: Experts = "auto",
    base: Base = "nano",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    stop: Stop = None,
    seed: Seed = None,
    audit: Annotated[Path | None, typer.Option(help="Of rows: audit records, JSON Lines; rows only as hashes.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an interrupted run has answered.")] = False,
    router: Router = None,
    rope_scaling: RopeScaling = None,
    device: Device = "cpu",
    allow_untrusted: AllowUntrusted = False,
) -> None:
    """Answer every line of a file: output, experts that were used with weights, why, and latency by phase.

    A line with a **prompt** or **messages** is answered in text, and may name its own **experts**. Other tables are
    rows: --experts names the row expert, unless only one is installed. Run the same command again after an
    interruption: what was answered is kept, and only the rest is asked.

    Examples: fairmoe infer prompts.jsonl --experts law --output answers.jsonl · fairmoe infer rows.csv --experts
    german-net --output decisions.csv --audit audit.jsonl
    """
    from benchmarks.asking.prompts import is_text, records_in
    from benchmarks.asking.results import Results, key_of
    from benchmarks.asking.session import experts_named, untrusted
    from benchmarks.models import open_engine

    sampling, left_open = sampling_of(MOST, max_tokens, temperature, top_p, top_k, stop, seed)
    asked, records = experts_named(experts), records_in(source)
    text = is_text(records)
    settings: dict[str, Any] = {"experts": experts}
    if text:
        settings |= {"base": base, "sampling": repr(sampling), "open": sorted(left_open)}
        settings |= {} if router is None else {"router": str(router)}
        settings |= {} if rope_scaling is None else {"rope_scaling": rope_scaling}
    with (
        Results(output, key_of(source, settings), restart=restart) as results,
        _engine_of(
            open_engine,
            base if text else None,
            router=router,
            rope_scaling=rope_scaling,
            device=device,
            allow_untrusted=allow_untrusted,
        ) as engine,
        _progress(len(records), len(results.done)) as advance,
    ):
        if text:
            from benchmarks.asking.files import answer_prompts

            answer_prompts(engine, records, asked, sampling, results, advance, left_open)
        else:
            _rows(engine, source, records, asked, results, advance)
        failed = results.finish(audit)
        used = {name for record in results.done.values() for name in record.get("experts", ())}
        for line in untrusted(engine.models(), used):
            typer.echo(line, err=True)
    _tell(output, audit, len(results.done), failed)


@contextmanager
def _engine_of(open_engine: Any, base: str | None, **how: Any) -> Iterator[ExpertEngine]:
    with plain_console(stderr=True).status(f"Loading {base or 'the row expert'}"):
        engine: ExpertEngine = open_engine(base, **how)
    with engine:
        yield engine


@contextmanager
def _progress(total: int, done: int) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    console = plain_console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    if done:
        console.print(f"{done} of {total} are kept from the interrupted run.", highlight=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("lines", total=total, completed=done)
        yield lambda count: progress.advance(task, count)


def _rows(
    engine: ExpertEngine,
    source: Path,
    records: Sequence[dict[str, Any]],
    asked: Asked,
    results: Results,
    advance: Advance,
) -> None:
    from benchmarks.asking.files import answer_rows

    name = _row_expert(engine, asked)
    answer_rows(engine, _parts(engine, name, source, records), name, results, advance)


def _row_expert(engine: ExpertEngine, asked: Asked) -> str:
    from serving.error import ServingError

    there = [info.name for info in engine.models() if info.kind == "rows"]
    named = list(asked) if isinstance(asked, dict) else there
    if len(named) == 1:
        return named[0]
    listed = ", ".join(there) or "none; fairmoe install FILE adds one"
    raise ServingError("bad-request", f"The file holds rows: name one row expert with --experts. There is: {listed}.")


def _parts(engine: ExpertEngine, name: str, source: Path, records: Sequence[dict[str, Any]]) -> Iterator[pd.DataFrame]:
    """The rows as the model's data were typed; JSON carries its own types."""
    import pandas as pd

    from benchmarks.asking.prompts import LINES
    from benchmarks.models.files import read_rows

    if source.suffix in LINES:
        for start in range(0, len(records), PART):
            yield pd.DataFrame(records[start : start + PART])
        return
    model: Any = engine.row_model(name)
    yield from read_rows(str(source), model.card, model.encoder, PART)


def _tell(output: Path, audit: Path | None, count: int, failed: int) -> None:
    typer.echo(f"{output}: {count:,} answers" + (f", {failed:,} of them say why there is none." if failed else "."))
    if audit is not None:
        typer.echo(f"{audit}: audit records.")
    if failed:
        typer.echo("Next: mend the lines, or run the same command again to ask only those without an answer.")
        raise typer.Exit(1)
    typer.echo("Next: fairmoe serve answers the same over HTTP.")

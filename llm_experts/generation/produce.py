"""Items for an expert by its spec: drafted, checked, taken, and written down so that a killed run goes on."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundation.hashing import hash_file, hash_json
from llm_experts.data.example import Example
from llm_experts.generation.budget import Budget
from llm_experts.generation.checks.check import Check
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Provider
from llm_experts.generation.journal import journal_at
from llm_experts.generation.production import Production
from llm_experts.generation.report import Fill, ProducedReport, report_of
from llm_experts.generation.spec import DataSpec
from llm_experts.generation.writing import write_set

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Produced:
    """A set of items that were made.

    Attributes
    ----------
    accepted : list of Example
        The set: items that passed every check, and those that fill up (``report.filled``), topic after topic.
    pairs : list of Example
        Those of them of which a refuted answer could be made, with it.
    report : ProducedReport
    """

    accepted: list[Example]
    pairs: list[Example]
    report: ProducedReport


def produce(
    spec: DataSpec,
    provider: Provider,
    context: Context,
    *,
    checks: Sequence[Check],
    folder: Path,
    seed: int,
    budget: Budget | None = None,
    fill: Fill = "",
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Produced:
    """Make the items of a spec.

    Drafts come in batches, topic after topic in turn, and what passes every check is taken until there are enough.
    Where fewer than ``spec.acceptance`` of a topic's drafts pass, its difficulty is moved
    (:class:`~llm_experts.generation.levels.Levels`) and variants are drafted; where none helps, at most eight drafts
    are made for each item that is wanted, and the report says what is missing.

    A run that was killed or stopped goes on where it was when it is called again with the same arguments, and ends
    with the same bytes as one that was not; only the minutes of a budget make a set depend on the machine.

    Parameters
    ----------
    spec : DataSpec
    provider : Provider
    context : Context
        What checks share; accepted items are told to it.
    checks : sequence of Check
    folder : Path
        Gets ``train.jsonl``, ``pairs.jsonl``, ``rejected.jsonl`` (with reasons), ``sample.md`` (a tenth, for people),
        ``report.json`` and ``journal.jsonl``.
    seed : int
    budget : Budget, optional
    fill : {"", "nearest"}
        "nearest": what is missing is filled up with the drafts that only their difficulty is held against, the
        nearest first.
    progress : callable, optional
        ``progress(accepted, wanted)`` after every batch.
    stop : callable, optional
        Asked after every draft; true ends the run with what there is.

    Raises
    ------
    DataError
        If the folder holds the journal of other items, or a topic has no such family.
    """
    with journal_at(folder / JOURNAL, _header(spec, provider, context, checks, seed)) as journal:
        production = Production(
            spec,
            provider,
            context,
            checks,
            journal,
            seed,
            budget or Budget(),
            stop or (lambda: False),
            filling=fill != "",
        )
        production.run(progress)
    if fill == "nearest" and not production.stopped:
        for supply in production.supplies:
            supply.fill()
    report = report_of(production, provider.name, seed)
    accepted, pairs = write_set(folder, spec, production.supplies, report, seed)
    return Produced(accepted, pairs, report)


def _header(spec: DataSpec, provider: Provider, context: Context, checks: Sequence[Check], seed: int) -> dict[str, Any]:
    """What the drafts and findings of a journal depend on."""
    return {
        "spec": hash_json(spec.as_dict()),
        "provider": {"name": provider.name, **provider.identity},
        "seed": seed,
        "checks": {check.name: hash_file(Path(inspect.getfile(check.of)))[:16] for check in checks},
        "context": _told(context, any(check.needs_model for check in checks)),
    }


def _told(context: Context, asks: bool) -> dict[str, Any]:
    """What findings depend on beside the drafts: options, what may not be touched, who judges."""
    told: dict[str, Any] = {
        "options": asdict(context.options),
        "seed": context.seed,
        "protected": {one.name: len(one.questions) for one in context.protected},
        "earlier": len(context.seen),
        "base": None if context.base is None else context.base.hash,
    }
    if asks:
        theta = context.judging[1]
        told["judge"] = hashlib.sha256(theta.detach().cpu().float().numpy().tobytes()).hexdigest()[:16]
    return told

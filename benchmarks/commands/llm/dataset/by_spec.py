"""Items by a spec: made, checked, and written into a folder that another run goes on with."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from benchmarks.commands.llm.showing import print_facts, steps_shown
from foundation.console import plain_console

if TYPE_CHECKING:
    from llm_experts.bases.base import Base
    from llm_experts.generation.checks.check import Check
    from llm_experts.generation.draft import Provider
    from llm_experts.generation.produce import Produced
    from llm_experts.generation.production.report import Fill, ProducedReport

OWN_CHECKS = "auto"
"""All checks where a base judges, else those that ask no model."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for on the command line; names are those of the options."""

    spec: Path
    provider: str
    base: str | None
    checks: str
    budget: float | None
    minutes: float | None
    models: tuple[str, ...]
    urls: tuple[str, ...]
    prices: tuple[str, ...]
    max_requests: int | None
    fill: str
    against: tuple[Path, ...]
    output: Path | None
    seed: int


def make_by_spec(asked: Asked) -> None:
    """Make the items of a spec, show what came of it, and say what is next."""
    from llm_experts.generation.reading import read_spec

    spec, console = read_spec(asked.spec), plain_console()
    folder = asked.output or Path(f"{asked.spec.stem}-items")
    with steps_shown("accepted items", console) as report:
        produced = _produced(asked, spec, folder, report)
    print_facts(f"items of {spec.expert}", _facts(produced.report), console)
    for sentence in produced.report.said:
        console.print(sentence, highlight=False)
    train = shlex.quote(str(folder / "train.jsonl"))
    typer.echo(f"{folder}: {len(produced.accepted):,} items, {len(produced.pairs):,} pairs, sample.md to read.")
    if not produced.accepted and not produced.report.stopped:
        typer.echo(
            f"Next: see why in {folder / 'rejected.jsonl'}, then another provider, difficulty or --fill nearest."
        )
    elif produced.report.stopped:
        typer.echo("Next: the same command again, which goes on where this one ended.")
    else:
        typer.echo(f"Next: fairmoe llm dataset validate {train}, or\n  fairmoe llm train --data {train} --method sft")


def _produced(asked: Asked, spec: Any, folder: Path, report: Callable[[int, int], None]) -> Produced:
    from llm_experts.generation.budget import Budget
    from llm_experts.generation.context import Context
    from llm_experts.generation.produce import produce

    budget, fill = Budget(asked.budget, asked.minutes), _fill(asked.fill)
    checks, base = _checks(asked)
    provider = _provider(asked, base)
    protected = {path.name: _items(path) for path in asked.against}
    with _interruptible() as stop:
        return produce(
            spec, provider, Context(base, protected=protected, seed=asked.seed), checks=checks, folder=folder,
            seed=asked.seed, budget=budget, fill=fill, progress=report, stop=stop,
        )  # fmt: skip


@contextmanager
def _interruptible() -> Any:
    """Ctrl-C ends the run at the next draft; a second one ends it at once."""
    import signal

    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        del frame
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _fill(word: str) -> Fill:
    if word not in ("none", "nearest"):
        raise typer.BadParameter(f"There is no way {word!r} to fill up; ways are none and nearest.")
    return cast("Fill", "" if word == "none" else word)


def _checks(asked: Asked) -> tuple[tuple[Check, ...], Base | None]:
    """The checks, and the base that is resident: the one that they or the provider ask."""
    from llm_experts.generation.checks.registry import CHECKS, checks_named

    if asked.checks == OWN_CHECKS:
        checks = tuple(check for check in CHECKS.values() if asked.base is not None or not check.needs_model)
    else:
        checks = checks_named([name.strip() for name in asked.checks.split(",")])
    if asked.provider != "model" and not any(check.needs_model for check in checks):
        return checks, None
    from llm_experts.bases.load import load_base

    return checks, load_base(asked.base or "nano")


def _provider(asked: Asked, base: Base | None) -> Provider:
    from llm_experts.generation.providers.registry import provider_named

    given: dict[str, Any] = {}
    if asked.models:
        given["models"] = asked.models
    if asked.urls:
        given["urls"] = asked.urls
    if asked.prices:
        given["prices"] = tuple(map(_price, asked.prices))
    if asked.max_requests is not None:
        given["max_requests"] = asked.max_requests
    if given and asked.provider != "openai":
        raise typer.BadParameter(f"--model, --url, --price and --max-requests are for openai, not {asked.provider}.")
    return provider_named(asked.provider, {"base": base} if asked.provider == "model" else given)


def _price(text: str) -> tuple[float, float]:
    try:
        read, written = map(float, text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no price: write two numbers, such as 0.15,0.60.") from None
    return read, written


def _items(path: Path) -> Any:
    from llm_experts.data.reading import read_examples

    return read_examples(path, need="prompt")


def _facts(report: ProducedReport) -> dict[str, Any]:
    zone = report.zone
    where = "inside" if zone.inside else "outside"
    mean = "not measured" if zone.mean is None else f"{zone.mean:.3f}, {where} the zone"
    low, high = report.acceptance_low, report.acceptance_high
    return {
        "items": f"{report.items:,} of {report.wanted:,}",
        "drafts": report.drafts,
        "accepted": f"{report.accepted:,} ({report.acceptance:.1%}, 95 %: {low:.1%} to {high:.1%})",
        "variants": report.variants,
        "filled up": report.filled,
        "refused by": {name: of["failed"] for name, of in report.checks.items()},
        "p of a right answer": mean,
        "dollars": f"{report.dollars:.4f}",
    }

"""``fairmoe llm check``: whether experts can be composed."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.loading import base_named, load, texts_of
from benchmarks.commands.llm.options import BaseName, Device, Dtype, Quantisation, Revision
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchmarks.models.text_experts import GivenAdapter
    from llm_experts.bases.base import Base
    from llm_experts.runtime.compatibility import Compatibility, Share
    from llm_experts.runtime.resident import ResidentBase

SHOWN = 10
"""Pairs in the table: those that get most into each other's way."""


def check(
    experts: Annotated[
        list[str], typer.Argument(help="Names of installed experts, .expert files, or folders of adapters.")
    ],
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    texts: Annotated[Path | None, typer.Option(help="A file of texts to try them on, one a line.")] = None,
    weight: Annotated[float, typer.Option(help="Weight of every expert that changes matrices.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 0,
    allow_untrusted: Annotated[
        bool, typer.Option(help="Also .expert files that nobody whom you trust signed.")
    ] = False,
    foreign: Annotated[
        bool, typer.Option(help="Take folders without fairmoe.json, which do not tell their base, as of this one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Try experts alone, in pairs and all together: what each changes, and whether they get into each other's way.

    The exit code is 1 if they cannot be composed, or something that must hold does not.

    Examples: fairmoe llm check sql french · fairmoe llm check a.expert folder/b --base nano --json
    """
    from benchmarks.models.text_experts import given_adapters
    from llm_experts.runtime.compatibility import TEXTS, check_set

    console = plain_console()
    tried = TEXTS if texts is None else texts_of(texts)
    base = base_named(base, revision)
    loaded = load(base, dtype, quantisation, device, console)
    with given_adapters(experts, allow_untrusted=allow_untrusted) as given:
        on = _resident(loaded, given, foreign)
        with console.status(styled("trying", "", f" {len(given)} experts on {len(tried)} texts")):
            found = check_set(on, [adapter.name for adapter in given], tried, seed, weight)
        refused = _refusals(given)
    if as_json:
        _print_json(found, refused, base)
    else:
        _print(found, refused, console)
        if not (found.problems or found.whole_undefined or refused):
            console.print(_next(experts, list(found.effects), base), soft_wrap=True, highlight=False)
    if found.problems or found.whole_undefined or refused:
        raise typer.Exit(1)


def _resident(base: Base, given: Sequence[GivenAdapter], foreign: bool) -> ResidentBase:
    """A base with a slot for each of the experts."""
    from llm_experts.runtime.resident import ResidentBase, rank_in

    rank = max((rank_in(adapter.place.folder) for adapter in given), default=1)
    on = ResidentBase(base, slots=len(given), rank=max(1, rank))
    for adapter in given:
        told = adapter.place.base_hash or (base.hash if foreign else "")
        on.known(adapter.name, adapter.place.folder, order=adapter.place.order, base_hash=told)
    return on


def _refusals(given: Sequence[GivenAdapter]) -> list[str]:
    from artefacts.format.together import refusals

    return refusals(list({m.name: m for m in (adapter.manifest for adapter in given) if m is not None}.values()))


def _print_json(found: Compatibility, refused: Sequence[str], base: str) -> None:
    import json

    from foundation.numbers import finite

    print(json.dumps(finite({"base": base, **asdict(found), "refused": list(refused)}), indent=2))


def _next(given: Sequence[str], names: Sequence[str], base: str) -> str:
    """The command that asks them; files and folders have to be installed first."""
    on = "" if base == "nano" else f" --base {shlex.quote(base)}"
    chat = f"fairmoe chat{on} --experts {','.join(names)}"
    named = set(given) == set(names)
    return f"Next: {chat}" if named else f"Next: install their packages (fairmoe install FILE), then\n  {chat}"


def _print(found: Compatibility, refused: Sequence[str], console: Console) -> None:
    from rich.table import Table

    table = Table(title="what each changes, as a share of the base's logits")
    table.add_column("expert", overflow="fold")
    table.add_column("effect [95 %]", no_wrap=True)
    for name, share in found.effects.items():
        table.add_row(name, _words(share))
    if len(found.effects) > 1:
        table.add_row("all together", _words(found.whole))
    console.print(table)
    if found.pairs:
        console.print(_pairs(found))
        console.print(
            "Interference: how far a pair is from the sum of what both do alone, as a share of that sum. At 0 each "
            "does beside the other what it does alone."
        )
    sentences = [*found.problems, *([found.whole_undefined] if found.whole_undefined else []), *refused]
    for sentence in sentences:
        console.print(styled("no:", "bold red", f" {sentence}"))
    if sentences:
        return
    console.print(f"They can be composed: logits are finite, the base stays the base (tried on {found.texts} texts).")


def _pairs(found: Compatibility) -> Any:
    from rich.table import Table

    ordered = sorted(found.pairs, key=lambda pair: -(pair.interference.estimate if not pair.defined else 1e9))
    left = len(ordered) - SHOWN
    table = Table(title="pairs", caption=f"{left} more in --json" if left > 0 else None)
    for column in ("pair", "effect [95 %]", "interference [95 %]"):
        table.add_column(column, overflow="fold", no_wrap=column != "pair")
    for pair in ordered[:SHOWN]:
        shares = ("not defined", "") if pair.defined else (_words(pair.size), _words(pair.interference))
        table.add_row(" + ".join(pair.names), *shares)
    return table


def _words(share: Share) -> str:
    import math

    if not math.isfinite(share.estimate):
        return "–"
    low, high = (f"{end:.2f}" if math.isfinite(end) else "–" for end in (share.low, share.high))
    return f"{share.estimate:.2f} [{low}, {high}]"

"""``fairmoe discover``: from a base model to a mixture of experts that it was measured to need."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from artefacts.trust.keys import PrivateKey
    from benchmarks.discovering.run import Asked, Discovered
    from benchmarks.discovering.settings import DiscoverySettings


def discover(
    base: Annotated[str | None, typer.Option(help="nano (default), a Hugging Face id or a folder.")] = None,
    output: Annotated[Path, typer.Option(help="Folder; what is done there is kept.")] = Path("results/discover/first"),
    config: Annotated[Path | None, typer.Option(help="TOML file of settings by the names of the options.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: two or three minutes on nano.")] = False,
    domains: Annotated[
        list[str] | None, typer.Option(help="Family, or FAMILY@DIFFICULTY (repeatable); default: ten domains.")
    ] = None,
    items: Annotated[int | None, typer.Option(help="Items of each domain in the capability report.")] = None,
    how: Annotated[str | None, typer.Option(help="choice (among listed answers) or generate.")] = None,
    experts: Annotated[int | None, typer.Option(help="How many, 3 to 10; default: by measurement.")] = None,
    evidence: Annotated[str | None, typer.Option(help="What groups domains: gradients, errors or random.")] = None,
    probe_steps: Annotated[int | None, typer.Option(help="Of a short training: do data help?")] = None,
    provider: Annotated[str | None, typer.Option(help="Who makes the items: template, model or openai.")] = None,
    checks: Annotated[list[str] | None, typer.Option(help="Of items: all, none, or names (repeatable).")] = None,
    difficulty: Annotated[
        str | None, typer.Option(help="report, or judge: refuse items too easy or too hard for the base.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Accepted items for each expert.")] = None,
    budget: Annotated[float | None, typer.Option(help="US dollars that the provider may cost.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of adapter: lora or svf.")] = None,
    rank: Annotated[int | None, typer.Option(help="Of the adapters.")] = None,
    start: Annotated[int | None, typer.Option(help="First layer they change; default: the last two.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each expert.")] = None,
    generations: Annotated[int | None, typer.Option(help="Of the mixture search.")] = None,
    population: Annotated[int | None, typer.Option(help="Mixtures of a generation.")] = None,
    guidance: Annotated[
        bool | None, typer.Option("--guidance/--no-guidance", help="Narrow the search round the front.")
    ] = None,
    advise: Annotated[str | None, typer.Option(help="Base whose advice on plan and search is logged.")] = None,
    follow_advice: Annotated[
        bool | None, typer.Option("--follow-advice/--log-advice", help="Group domains as it says, if that can be read.")
    ] = None,
    scenarios: Annotated[int | None, typer.Option(help="Of each domain in the final examination.")] = None,
    preserve: Annotated[list[str] | None, typer.Option(help="What must stay (repeatable); none: nothing.")] = None,
    gates: Annotated[Path | None, typer.Option(help="TOML file of your own gates.")] = None,
    budget_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Time: sizes are scaled to it beforehand, and it ends the run.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of a Hugging Face base.")] = None,
    dtype: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    quantisation: Annotated[str | None, typer.Option(help="none, nf4, int8 or ternary.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    requantize: Annotated[
        str | None, typer.Option(help="nf4, int8 or ternary: round base and winner together, and say what it costs.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the package: a-z, 0-9 and hyphens.")] = None,
    author: Annotated[str | None, typer.Option(help="Of the package.", envvar="FAIRMOE_AUTHOR")] = None,
    sign: Annotated[Path | None, typer.Option(help="Private key (fairmoe keygen) that signs the package.")] = None,
    begin: Annotated[str, typer.Option("--from", help="Do all again from this step on: its number or name.")] = "",
    track: Annotated[bool, typer.Option("--track/--no-track", help="Send the figures to MLflow.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and how long it takes.")] = False,
) -> None:
    """Measure what a base can do, decide which experts it needs, make their data, train, mix and examine them.

    Eight steps, each a folder with its result: capability, plan, data, training, search, examination, preserve, gates;
    then a package and a page. It can be ended at any time: the same command goes on with the same numbers. What is
    written at the end is what scenarios said that no step saw before, also where no expert beats the base.

    Examples: fairmoe discover --quick · fairmoe discover --output results/discover/second --seed 1 ·
    fairmoe discover --domains dates --domains sql --domains sql@0.3 --experts 3 --budget-minutes 10 ·
    fairmoe discover --base HuggingFaceTB/SmolLM2-135M-Instruct --start -4 --items 50 --dry-run
    """
    begun = time.monotonic()
    from benchmarks.discovering.settings import settings_of
    from benchmarks.discovering.state import note_places
    from reports.discovery.page import PAGE

    given = {
        "base": base, "items": items, "how": how, "experts": experts, "evidence": evidence, "provider": provider,
        "difficulty": difficulty,
        "count": count, "dollars": budget, "kind": kind, "rank": rank, "start": start, "steps": steps,
        "generations": generations, "population": population, "guidance": guidance, "advise": advise,
        "follow_advice": follow_advice, "requantize": requantize, "probe_steps": probe_steps,
        "scenarios": scenarios, "seed": seed, "revision": revision, "dtype": dtype, "quantisation": quantisation,
        "device": device, "name": name, "author": author, "gates": None if gates is None else str(gates),
        **{key: None if value is None else tuple(value)
           for key, value in {"domains": domains, "checks": checks, "preserve": preserve}.items()},
    }  # fmt: skip
    console = plain_console()
    settings = settings_of(config, given, quick)
    asked = _asked(settings, output, budget_minutes, begin, begun, console)
    if dry_run:
        _show_plan(asked, console)
        return
    key = None if sign is None else _key(sign)
    found = _discovered(asked, console)
    package = _handed_on(found, settings, key, console)
    note_places(found.folder, None if package is None else package.name, PAGE)
    page = _published(found.folder, track, console)
    _tell(found, package, key is not None, console)
    console.print(f"Page: {page}", soft_wrap=True)


def _asked(
    settings: DiscoverySettings, output: Path, minutes: float | None, begin: str, begun: float, console: Console
) -> Asked:
    """The discovery, with what decides its numbers; the base itself is loaded when a step needs it."""
    from benchmarks.commands.llm.loading import base_named, load
    from benchmarks.discovering.beforehand import check_beforehand
    from benchmarks.discovering.gates import read_gates
    from benchmarks.discovering.identity import files_of, identity_of
    from benchmarks.discovering.run import Asked

    read_gates(None if settings.gates is None else Path(settings.gates))  # a fault in it is told now, not at the end
    check_beforehand(settings)
    named = base_named(settings.base, settings.revision)
    return Asked(
        settings=settings, folder=output, minutes=minutes, again=begin, begun=begun,
        load=lambda: load(named, settings.dtype, settings.quantisation, settings.device, console),
        identity=identity_of(settings, named), files=files_of(settings),
    )  # fmt: skip


def _show_plan(asked: Asked, console: Console) -> None:
    from benchmarks.discovering.context import domains_of
    from benchmarks.discovering.run import planned
    from benchmarks.discovering.sizing.sizes import too_long
    from benchmarks.discovering.telling.showing import show_shares

    found, looked = planned(asked)
    console.print(f"An item is read in {1000 * looked.rates.item:.1f} ms here. Nothing was written.")
    if said := looked.told(len(domains_of(asked.settings)), asked.minutes):
        console.print(said, soft_wrap=True)
    if found.sizes:
        sizes = ", ".join(f"{name} {value}" for name, value in found.sizes.items())
        console.print(f"For {asked.minutes:g} minutes sizes would be: {sizes}.", soft_wrap=True)
    if said := too_long(found, asked.minutes):
        console.print(said)
    show_shares(found.seconds, console, "estimated")
    console.print(f"Next: the same command without --dry-run writes to {asked.folder}.", soft_wrap=True)


def _key(path: Path) -> PrivateKey:
    """The key that signs, read before the work begins."""
    from artefacts.trust.keys import is_encrypted, load
    from benchmarks.commands.packages.passphrase import ask

    return load(path, ask() if is_encrypted(path) else None)


def _discovered(asked: Asked, console: Console) -> Discovered:
    from benchmarks.discovering.run import discover as run
    from benchmarks.discovering.telling.showing import Shown

    shown = Shown(console)
    try:
        with shown.bars():
            return run(asked, shown)
    except KeyboardInterrupt:
        console.print(
            f"Interrupted. What was finished lies in {asked.folder}; the same command goes on from there.",
            soft_wrap=True,
        )
        raise


def _handed_on(found: Discovered, settings: DiscoverySettings, key: PrivateKey | None, console: Console) -> Path | None:
    from benchmarks.discovering.handing.package import Named, hand_on

    if not found.results["4_training"]["experts"]:
        console.print("There is no package: no expert was trained.")
        return None
    return hand_on(found, Named(settings.name, settings.author, key)).path


def _published(folder: Path, track: bool, console: Console) -> Path:
    """The page, and the figures in MLflow; a store that cannot be reached loses nothing."""
    from benchmarks.discovering.tracking import send_discovery
    from reports.discovery.page import write_page

    if track and (fault := send_discovery(folder)):
        console.print(f"MLflow has it not yet: {fault} The same command sends it.", soft_wrap=True, markup=False)
    return write_page(folder)


def _tell(found: Discovered, package: Path | None, signed: bool, console: Console) -> None:
    """Gates, shares of time, the verdict, and where things are."""
    from benchmarks.discovering.telling.showing import show_gates, show_shares
    from reports.discovery.details import details
    from reports.discovery.reading import read_discovery
    from reports.discovery.verdict import verdict

    show_gates(found.results["8_gates"]["gates"], console)
    show_shares(found.seconds, console)
    told = read_discovery(found.folder)
    outcome = verdict(told)
    for line in (outcome.headline, *outcome.sentences, *outcome.sure, *details(told)):
        console.print(line, highlight=False, markup=False)
    console.print(f"Results: {found.folder}/discovery.json and a folder for each step.", soft_wrap=True)
    if package is not None:
        path = shlex.quote(str(package))
        console.print(f"Package: {package}", soft_wrap=True)
        console.print(f"Next: fairmoe inspect {path}", soft_wrap=True)
        for line in _use(path, signed):
            console.print(line, soft_wrap=True)


def _use(path: str, signed: bool) -> tuple[str, ...]:
    """How to install it: only what is signed by somebody who is trusted is installed without a word."""
    if signed:
        return (f"Use it: fairmoe install {path} (with your public key among those trusted: fairmoe trust add)",)
    return (
        f"Sign it: fairmoe keygen my.key, then fairmoe sign {path} --key my.key",
        f"Use it: fairmoe install {path} --allow-untrusted",
    )

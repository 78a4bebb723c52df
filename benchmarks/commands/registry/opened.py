"""What the verbs of the registry share: the user's registry, options, and how a change is told."""

from __future__ import annotations

import json
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from artefacts.registry.record import Record
    from artefacts.registry.registry import Change, Registry

UNTRUSTED = Annotated[
    bool,
    typer.Option("--allow-untrusted", help="Also packages that are unsigned or of unknown or revoked keys; marked."),
]
DOWNGRADE = Annotated[bool, typer.Option("--allow-downgrade", help="Also older versions than the installed ones.")]
NEW_KEY = Annotated[bool, typer.Option("--allow-new-key", help="Also another key than a name was first seen with.")]
OFFLINE = Annotated[bool, typer.Option("--offline", help="Ask no network; indexes in Git as last read.")]


def open_registry() -> Registry:
    """The registry of this user, in FAIRMOE_HOME."""
    from artefacts.registry.registry import Registry

    return Registry.of_user()


@contextmanager
def watched_registry() -> Iterator[Registry]:
    """The registry of this user, with a bar for what is fetched where there is a terminal to show it on."""
    from rich.progress import DownloadColumn, TimeElapsedColumn

    from artefacts.registry.registry import Registry
    from foundation.progress import counted_bars

    console = plain_console(stderr=True)
    with counted_bars(console, DownloadColumn(), TimeElapsedColumn(), transient=True) as bars:
        yield Registry.of_user(lambda what, done, total: bars.tell(f"fetching {what}", done, total))


def tell(change: Change, registry: Registry) -> None:
    """What is new, changed and gone, a line each."""
    console = plain_console()
    before = change.before.installed
    for record in change.added:
        old = before.get(record.name)
        word = "installed" if old is None else "changed"
        was = f" (was {old.version})" if old is not None else ""
        because = "" if record.asked else f", required by {', '.join(change.after.requiring(record.name))}"
        console.print(styled(word, "green", f" {record.name} {record.version}{was}{because}"), highlight=False)
        if record.mark:
            console.print(styled("NOT TRUSTED", "bold red", f" {record.name}: {record.mark}"), highlight=False)
    for record in change.removed:
        console.print(styled("removed", "yellow", f" {record.name} {record.version}"), highlight=False)
    if not change.added and not change.removed:
        console.print("Nothing to do: what you asked for is there.")
    elif change.added:
        name = _main(change)
        console.print(f"They lie in {registry.root}.", soft_wrap=True, highlight=False)
        console.print(f"Next: fairmoe info {name} · {_asked(registry, name)}", soft_wrap=True, highlight=False)


def _asked(registry: Registry, name: str) -> str:
    """The command that asks an expert: adapters talk, and predict rows only if their package tells the columns."""
    manifest = json.loads((registry.folder(name) / "manifest.json").read_text(encoding="utf-8"))
    predict = f"fairmoe predict --expert {name} ROWS.csv"
    if not manifest.get("adapters") or (manifest["kind"] != "adapter" and "inputs" in manifest):
        return predict
    base = manifest.get("base", {}).get("name", "nano")
    chat = f"fairmoe chat{'' if base == 'nano' else f' --base {shlex.quote(base)}'} --experts {name}"
    return f"{predict} · {chat}" if "inputs" in manifest else chat


def mark_of(record: Record) -> str:
    """How much a package is trusted, in a word."""
    return f"NOT TRUSTED ({record.mark})" if record.mark else "yes"


def _main(change: Change) -> str:
    named = [record.name for record in change.added if record.name in change.asked]
    return (named or [record.name for record in change.added])[0]

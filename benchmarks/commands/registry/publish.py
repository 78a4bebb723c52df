"""``fairmoe publish``: a signed package into an index of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from foundation.console import plain_console, styled


def publish(
    package: Annotated[str, typer.Argument(help="A signed .expert file; with --yank: NAME@VERSION.")],
    index: Annotated[Path, typer.Option(help="The index: a folder, made if absent; committed when Git has it.")],
    location: Annotated[
        str, typer.Option(help="https:// address where the file lies already; default: it is copied into the index.")
    ] = "",
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="Publish a version below the newest one.")
    ] = False,
    yank: Annotated[str, typer.Option(help="Withdraw a published version, for this reason.")] = "",
) -> None:
    """Publish a signed package: its file and one line with its hashes into a folder that others can read.

    A name belongs to the key that first published it; a published version never changes. Push the folder anywhere
    (git push): there is no central place.

    Examples: fairmoe publish net.expert --index ~/experts ·
    fairmoe publish net@1.0.0 --index ~/experts --yank "groups were swapped"
    """
    from artefacts.registry import publish as publishing

    if yank:
        name, _, version = package.partition("@")
        done = publishing.yank(index, name, version, yank)
        word = "withdrawn" if done.new else "was withdrawn before:"
    else:
        done = publishing.publish(Path(package), index, location=location, allow_downgrade=allow_downgrade)
        word = "published" if done.new else "was there before:"
    console = plain_console()
    release = done.release
    console.print(
        styled(word, "green", f" {release.name} {release.version} in {index}"), soft_wrap=True, highlight=False
    )
    console.print(f"sha256 {release.package}", highlight=False)
    pushed = "It is committed: git push shows it to others. " if done.committed else ""
    console.print(f"{pushed}Next: fairmoe index add NAME {index.resolve()}", soft_wrap=True, highlight=False)

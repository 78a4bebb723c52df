"""``fairmoe verify``: whether a package is sound, and who vouches for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    package: Annotated[Path, typer.Argument(help="The .expert file.")],
) -> None:
    """Check a package: its form, the hash of every file, every weight, then its signatures against your list of keys.

    Exit code 0: sound, and signed by a key that you trust. 1: sound, but unsigned, signed by keys that you do not
    know, revoked, or with a signature of something else. 2: not sound; the reason is in brackets.

    Example: fairmoe verify german-mlp.expert
    """
    from artefacts.format.archive import open_package
    from artefacts.trust.store import TrustStore
    from foundation.console import plain_console
    from foundation.home import home

    with open_package(package) as opened:
        opened.check()
        verdict = TrustStore(home()).judge(opened)
        console = plain_console(soft_wrap=True)
        size = sum(file.bytes for file in opened.manifest.files.values())
        console.print(f"sound    {len(opened.manifest.files)} files, {size:,} bytes, all as the manifest lists them")
        console.print(f"content  {opened.content}")
    plain_console().print(f"{verdict.status:<8} {verdict.text}")
    if verdict.status != "trusted":
        raise typer.Exit(1)

"""``fairmoe sign``: vouch for a package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sign(
    package: Annotated[Path, typer.Argument(help="The .expert file; the signature is added to it.")],
    key: Annotated[Path, typer.Option(help="Private key, from fairmoe keygen.")],
    role: Annotated[str, typer.Option(help="As what you sign: author, auditor, ...")] = "author",
) -> None:
    """Sign a package after checking every byte of it. What others have signed stays; signing twice changes nothing.

    The signature is over the canonical manifest, which holds the sha256 of every other file.

    Example: fairmoe sign german-mlp.expert --key ada.key

    Example: fairmoe sign german-mlp.expert --key audit.key --role auditor
    """
    from artefacts.trust.keys import is_encrypted, load
    from artefacts.trust.signature import sign as add
    from benchmarks.commands.packages.passphrase import ask
    from foundation.console import plain_console

    added = add(package, load(key, ask() if is_encrypted(key) else None), role)
    console = plain_console(soft_wrap=True)
    console.print(f"{package} is signed as {added.role} by\n{added.fingerprint}")
    console.print(f"\nCheck it: fairmoe verify {package}")

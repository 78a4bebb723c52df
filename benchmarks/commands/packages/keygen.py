"""``fairmoe keygen``: a key pair to sign packages with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def keygen(
    path: Annotated[Path, typer.Argument(help="File of the private key; the public one is beside it, with .pub.")],
    passphrase: Annotated[
        bool,
        typer.Option(help="Encrypt the private key; asked for, or read from FAIRMOE_PASSPHRASE."),
    ] = False,
) -> None:
    """Make an Ed25519 key pair. The private key's file is yours alone (mode 0600); a key is never written over.

    Example: fairmoe keygen ada.key

    Then: fairmoe sign my.expert --key ada.key
    """
    from artefacts.trust.keys import fingerprint, generate
    from benchmarks.commands.packages.passphrase import ask_new
    from foundation.console import plain_console

    public = generate(path, ask_new() if passphrase else None)
    console = plain_console(soft_wrap=True)
    console.print(f"private key  {path} (keep it secret; there is no copy)")
    console.print(f"public key   {path}.pub (give it to whoever is to trust you)")
    console.print(f"fingerprint  {fingerprint(public)}")
    console.print(f"\nSign a package:     fairmoe sign PACKAGE.expert --key {path}")
    console.print(f"Trust it yourself:  fairmoe trust add {path}.pub --name me")

"""``fairmoe trust``: whose packages you install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from artefacts.trust.store import TrustStore

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Your own list of keys: whose packages are trusted, which keys and packages are revoked.\n\n"
        "The list is trust.json in the folder FAIRMOE_HOME (else the user's data folder). Compare a key's fingerprint "
        "with its owner by another way than the one that the key came by."
    ),
)
WHICH = Annotated[str, typer.Argument(help="Name, fingerprint (SHA256:...) or text (ed25519:...) of a key.")]


@app.command()
def add(
    key: Annotated[str, typer.Argument(help="A .pub file, or a public key's text (ed25519:...).")],
    name: Annotated[str, typer.Option(help="Whose key it is, in your words.")],
) -> None:
    """Trust a key from now on.

    Example: fairmoe trust add ada.key.pub --name Ada
    """
    from artefacts.trust.keys import PREFIX, read_public

    added = _store().add(key if key.startswith(PREFIX) else read_public(Path(key)), name)
    _print(f"{added.name} is trusted: {added.fingerprint}\nSee all: fairmoe trust list")


@app.command("list")
def list_keys() -> None:
    """List trusted and revoked keys, and revoked packages.

    Example: fairmoe trust list
    """
    store = _store()
    keys, packages = store.list(), store.revoked_packages()
    for one in keys:
        state = "trusted" if one.revoked is None else f"revoked ({one.revoked})"
        _print(f"{one.name}\n  {one.fingerprint}\n  {state}")
    for name, why in packages.items():
        _print(f"package {name}\n  revoked ({why})")
    if not keys and not packages:
        _print("Nobody is trusted yet. Trust a key: fairmoe trust add KEY.pub --name WHO")


@app.command()
def remove(which: WHICH) -> None:
    """Forget a key: it is unknown again. To refuse it from now on, revoke it instead.

    Example: fairmoe trust remove Ada
    """
    removed = _store().remove(which)
    _print(f"{removed.name} is no longer on your list: {removed.fingerprint}")


@app.command()
def revoke(
    which: Annotated[
        str, typer.Argument(help="A key (name, fingerprint, text), a .expert file, or the sha256 of a package.")
    ],
    reason: Annotated[str, typer.Option(help="Why; shown whenever it is refused.")] = "no reason given",
) -> None:
    """Refuse a key or a package from now on, whoever else signed it.

    Example: fairmoe trust revoke Ada --reason "key lost in March"

    Example: fairmoe trust revoke german-mlp.expert --reason "labels were wrong"
    """
    from artefacts.format.archive import open_package

    if which.endswith(".expert"):
        with open_package(Path(which)) as package:
            which = package.content
    _print(f"revoked: {_store().revoke(which, reason)}\nSee all: fairmoe trust list")


def _store() -> TrustStore:
    from artefacts.trust.store import TrustStore
    from foundation.home import home

    return TrustStore(home())


def _print(text: str) -> None:
    from foundation.console import plain_console

    plain_console(soft_wrap=True).print(text)

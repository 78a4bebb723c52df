"""The passphrase of a private key: from the terminal, or from the environment where nobody sits at one."""

from __future__ import annotations

import os

import typer

VARIABLE = "FAIRMOE_PASSPHRASE"


def ask_new() -> bytes:
    """A new passphrase, asked for twice; an empty one is asked for again."""
    given = os.environ.get(VARIABLE) or typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True)
    return str(given).encode()


def ask() -> bytes:
    """The passphrase of a key that has one."""
    return (os.environ.get(VARIABLE) or str(typer.prompt("Passphrase", hide_input=True))).encode()

"""Addresses of servers as people, logs and files may see them: without passwords."""

from __future__ import annotations

import re
from urllib.parse import unquote

HIDDEN = "***"
_SECRET = re.compile(r"(?i)(?<=[?&])([^=&#]*(?:password|passwd|secret|token)[^=&#]*=)([^&#]*)")
"""A field of an address's query that is nobody's business."""


def shown(address: str) -> str:
    """An address without its password, be it before the host or in the query.

    Examples
    --------
    >>> shown("postgresql://ann:s3cret@db:5432/studies?sslpassword=x&application_name=y")
    'postgresql://ann:***@db:5432/studies?sslpassword=***&application_name=y'
    >>> shown("sqlite:////home/ann/mlflow.db")
    'sqlite:////home/ann/mlflow.db'
    """
    before, _, after = _parted(address)
    hidden = f"{before}{HIDDEN}{after}" if after else address
    return _SECRET.sub(rf"\1{HIDDEN}", hidden)


def without_secrets(text: str, address: str) -> str:
    """A text, such as a driver's complaint, in which the passwords of an address are hidden wherever they stand."""
    _, password, _ = _parted(address)
    for secret in (password, *(found[1] for found in _SECRET.findall(address))):
        for spelling in filter(None, dict.fromkeys((secret, unquote(secret)))):
            text = text.replace(spelling, HIDDEN)
    return text


def words_of_driver(said: str, address: str) -> str:
    """What a database's driver says, on one line: what the server refused for, if it says so, and no password."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [""]
    fatal = next((line for line in lines if "FATAL" in line), lines[0])
    return without_secrets(fatal.rpartition("FATAL:")[2].strip(), address)


def _parted(address: str) -> tuple[str, str, str]:
    """What stands before the password, the password, what stands behind it; an address without one is all before."""
    scheme, mark, rest = address.partition("://")
    authority, question, query = rest.partition("?")
    user, at, host = authority.rpartition("@")
    name, colon, password = user.partition(":")
    if not (mark and at and colon) or authority.startswith("/"):
        return address, "", ""
    return f"{scheme}://{name}:", password, f"@{host}{question}{query}"

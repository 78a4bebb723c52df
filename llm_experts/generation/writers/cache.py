"""Answers that were paid for, kept by what was asked: the same request costs nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from foundation.files import write_json
from foundation.hashing import hash_json


class Reply(NamedTuple):
    """What an endpoint answered.

    Attributes
    ----------
    text : str
    model : str
        That answered.
    read, written : int
        Tokens of the request and of the answer.
    """

    text: str
    model: str
    read: int
    written: int


class ReplyCache:
    """Replies in a folder, one file each, named by the sha256 of the request.

    Parameters
    ----------
    folder : Path or None
        None: nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, request: Mapping[str, Any]) -> Reply | None:
        """The reply to a request; None where there is none, or its file is torn."""
        path = self._path(request)
        if path is None or not path.is_file():
            return None
        try:
            return Reply(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):  # written by something else, or torn: it is asked again and written anew
            return None

    def put(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Keep a reply."""
        path = self._path(request)
        if path is not None:
            write_json(path, reply._asdict())

    def _path(self, request: Mapping[str, Any]) -> Path | None:
        return None if self._folder is None else self._folder / f"{hash_json(request)}.json"

"""Tables of names and values in files of TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class TableError(ValueError):
    """A file that holds no table; the text says what is wrong, where, and what to do."""


def read_table(path: Path, suffixes: Sequence[str] = ()) -> dict[str, Any]:
    """The table of a file.

    Parameters
    ----------
    path : Path
    suffixes : sequence of str
        How its name has to end, of ``.toml`` and ``.json``: the ending says which of both the file is. Without any the
        name does not matter, and the file is TOML.

    Raises
    ------
    TableError
        If the name ends otherwise, the file is absent or unreadable, is no valid TOML or JSON (also: nested too
        deeply, or with a number that has too many digits), or holds something else than a table.
    """
    kinds = " or ".join(suffixes) or "TOML"
    if suffixes and path.suffix not in suffixes:
        raise TableError(f"{path} cannot be read as settings: its name must end in {kinds}.")
    read, kind = (json.loads, "JSON") if suffixes and path.suffix == ".json" else (tomllib.loads, "TOML")
    try:
        found = read(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError(f"There is no file {path}; give the path of a {kinds} file.") from None
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}. Give the path of a {kinds} file.") from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"{path} is no valid {kind}: {error}. Mend the file.") from error
    if not isinstance(found, dict):
        raise TableError(f"{path} holds a {type(found).__name__}; write a table of names and values.")
    return found

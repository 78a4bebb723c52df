"""Tables in Weka's attribute-relation format (.arff): names and types first, then comma-separated rows."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd

from tasks.card import DataError, Read
from tasks.formats.opened import content, encoding_of

_ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)\s+(.+)", re.I)
_NUMBERS = ("numeric", "real", "integer")


def read_arff(path: Path, read: Read) -> pd.DataFrame:
    """The table: numbers where the file declares numbers, else text; ``?`` is empty.

    Raises
    ------
    DataError
        If there is no @data part, or its rows are sparse or do not fit the attributes.
    """
    data = content(path)
    text = data.decode(encoding_of(data, path) if read.encoding == "utf-8" else read.encoding).lstrip("\ufeff")
    head, mark, body = (
        re.split(r"(?im)^(\s*@data)\s*$", text, maxsplit=1) if "@data" in text.lower() else (text, "", "")
    )
    found = [_ATTRIBUTE.match(line.strip()) for line in head.splitlines() if line.strip().lower().startswith("@attr")]
    if not mark or not found or None in found:
        raise DataError(f"{path} is no ARFF table: it needs lines '@attribute NAME TYPE', then '@data' and rows.")
    kinds = {_plain(match[1]): match[2].strip().lower() for match in found if match is not None}
    rows = "\n".join(line for line in body.splitlines() if line.strip() and not line.lstrip().startswith("%"))
    if rows.lstrip().startswith("{"):
        raise DataError(f"{path} holds sparse ARFF rows, which are not read; write them out in full.")
    return _table(path, rows, kinds, len(found))


def _table(path: Path, rows: str, kinds: dict[str, str], count: int) -> pd.DataFrame:
    if len(kinds) < count:
        raise DataError(f"{path} declares two attributes of one name; give one of them another name.")
    texts = {name: "str" for name, kind in kinds.items() if not kind.startswith(_NUMBERS)}
    try:
        table: pd.DataFrame = pd.read_csv(
            io.StringIO(rows),
            header=None,
            names=list(kinds),
            dtype=texts,
            na_values=["?"],
            keep_default_na=False,
            quotechar='"' if '"' in rows and "'" not in rows else "'",
            escapechar="\\",
            skipinitialspace=True,
            index_col=False,
            low_memory=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise DataError(
            f"The rows of {path} do not fit its {count} attributes ({' '.join(str(error).split())})."
        ) from error
    wrong = [n for n in kinds if n not in texts and len(table) and not pd.api.types.is_numeric_dtype(table[n])]
    if wrong:
        raise DataError(f"{path} declares {wrong[0]!r} a number, but it holds text; correct its @attribute line.")
    return table


def _plain(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name[:1] in "'\"" else name

"""Tables of the Hugging Face hub, kept as Parquet files, so that a run needs no network and its bytes are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from foundation.files import atomic_path
from tasks.card import DataError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PREFIX = "hf:"


class HubId(NamedTuple):
    """A data set of the hub, or a folder that its library can load; empty: the only one, or train."""

    name: str
    config: str = ""
    split: str = ""


@dataclass(frozen=True)
class Saved:
    """The Parquet file, what was taken, and the page of the data set."""

    path: Path
    words: str
    homepage: str


def hub_id(text: str) -> HubId | None:
    """The data set that ``hf:owner/name[:config][:split]`` or ``owner/name`` means; None for a path."""
    if not text.startswith(_PREFIX):
        return HubId(text) if _ID.fullmatch(text) and not Path(text).exists() and not Path(text).suffix else None
    parts = text.removeprefix(_PREFIX).split(":")
    if not parts[0] or len(parts) > 3:
        raise DataError(
            f"{text!r} is no data set; write hf:OWNER/NAME, hf:OWNER/NAME:CONFIG or hf:OWNER/NAME:CONFIG:SPLIT."
        )
    return HubId(*parts)


def save_hub_table(wanted: HubId, folder: Path) -> Saved:
    """Load a data set and keep its columns of numbers and texts as ``folder/NAME.parquet``.

    Raises
    ------
    DataError
        If it cannot be loaded (no network, no such name, several configurations) or has no such split.
    """
    loaded = _load(wanted)
    split = _split(wanted, list(loaded))
    table, left = _plain(loaded[split])
    stem = "-".join(part for part in (Path(wanted.name).name, wanted.config) if part)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)}.parquet"
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)
    others = [name for name in loaded if name != split]
    words = f"{len(table):,} rows of split {split!r} of {wanted.name}"
    words += f" (not its other splits: {', '.join(others)})" if others else ""
    words += f"; left out, neither numbers nor texts: {', '.join(left)}" if left else ""
    return Saved(path, words, "" if Path(wanted.name).exists() else f"https://huggingface.co/datasets/{wanted.name}")


def _load(wanted: HubId) -> dict[str, Any]:
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(wanted.name, wanted.config or None)
    except Exception as error:
        raise DataError(
            f"The data set {wanted.name!r} cannot be loaded from the Hugging Face hub "
            f"({type(error).__name__}: {' '.join(str(error).split())[:300]}). Check the name, the configuration "
            "(hf:OWNER/NAME:CONFIG) and the network; or download its files by hand and give one: fairmoe data card "
            "FILE.parquet."
        ) from error
    return dict(loaded)


def _split(wanted: HubId, known: list[str]) -> str:
    if wanted.split in known:
        return wanted.split
    if wanted.split or not known:
        raise DataError(f"{wanted.name!r} has no split {wanted.split!r}; it has {', '.join(known) or 'none'}.")
    return "train" if "train" in known else known[0]


def _plain(data: Any) -> tuple[Any, list[str]]:
    """The columns of numbers and texts as a DataFrame, classes by their names; and the names of the others."""
    import datasets

    kept, classes = [], {}
    for name, feature in data.features.items():
        if isinstance(feature, datasets.ClassLabel):
            classes[name] = feature
        if isinstance(feature, datasets.ClassLabel) or (
            isinstance(feature, datasets.Value) and not feature.dtype.endswith("binary")
        ):
            kept.append(name)
    table = data.select_columns(kept).to_pandas()
    for name, feature in classes.items():
        table[name] = [
            None if code is None or code != code or code < 0 else feature.int2str(int(code)) for code in table[name]
        ]
    return table, [name for name in data.features if name not in kept]

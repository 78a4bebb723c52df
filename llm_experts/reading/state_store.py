"""States of texts on disk: what the base alone makes of a text is computed once for all processes.

A file per text, named by what determines its content: hash and precision of the base, the layer, the scope, which
library multiplied, and the tokens with where they stand. Files are written whole or not at all, checked when they are
read, and made anew where they are damaged; the least recently used go when the folder is full.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from foundation.files import atomic_path
from foundation.home import home
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key
from llm_experts.decoder.entry import Entry
from llm_experts.decoder.products import products_of

if TYPE_CHECKING:
    from llm_experts.prompts.prompts import Packed

log = logging.getLogger(__name__)

LIMIT = "FAIRMOE_STATES_GIB"
"""Environment variable: how large the folder of states may become, in GiB; 0 keeps none."""
DEFAULT_GIB = 4.0
FOLDER = "states"
FORMAT = 1
NAME, SUM = "states", "blake2b"
LEFT = 0.9
"""Share of the limit that stays when the oldest files go."""


def state_store() -> StateStore | None:
    """The store of this user, under ``FAIRMOE_HOME``; None if the limit is 0.

    Raises
    ------
    BaseError
        If the limit is no number of at least 0.
    """
    asked = os.environ.get(LIMIT, str(DEFAULT_GIB))
    try:
        gib = float(asked)
    except ValueError:
        gib = -1.0
    if not 0 <= gib < float("inf"):
        raise BaseError(f"{LIMIT}={asked} is no size: give the most GiB of states on disk, or 0 to keep none.")
    return _store(home() / FOLDER, int(gib * (1 << 30))) if gib else None


@functools.cache
def _store(folder: Path, limit: int) -> StateStore:
    return StateStore(folder, limit)


class StateStore:
    """States of texts, one file each.

    Parameters
    ----------
    folder : Path
        Shared by any number of processes.
    limit : int
        Most bytes; processes that write at once may overshoot it for a moment.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._bytes: int | None = None
        self._writes = True

    def states(self, entry: Entry, packed: Packed, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """[n, T, width] states of texts; ``compute`` gives those of the texts at some positions, [m, T, width]."""
        paths = [self._folder / key[:2] / f"{key}.safetensors" for key in _keys(entry, packed)]
        lengths = packed.lengths.tolist()
        model = entry.cut.base.model
        found = torch.zeros(*packed.ids.shape, entry.width, dtype=model.dtype, device=entry.cut.base.device)
        missing = []
        for index, (path, length) in enumerate(zip(paths, lengths, strict=True)):
            state = _read(path, (length, entry.width), model.dtype)
            if state is None:
                missing.append(index)
            else:
                found[index, :length] = state.to(found.device)
        if missing:
            made = compute(torch.tensor(missing))
            for index, state in zip(missing, made, strict=True):
                found[index, : lengths[index]] = state[: lengths[index]]
                self._write(paths[index], state[: lengths[index]])
        return found

    def _write(self, path: Path, state: Tensor) -> None:
        """Keep a state; a disk that takes nothing is no reason to stop, and is said once."""
        from safetensors.torch import save_file

        if not self._writes or path.exists():
            return
        kept = state.detach().cpu().contiguous().clone()
        try:
            with atomic_path(path) as made:
                save_file({NAME: kept}, made, metadata={SUM: _sum(path.name, kept)})
            self._bound(path.stat().st_size)
        except OSError as error:
            self._writes = False
            log.warning("States of texts are not kept: %s cannot be written (%s).", self._folder, error)

    def _bound(self, more: int) -> None:
        """Let the oldest files go once the folder is full."""
        self._bytes = self._size() if self._bytes is None else self._bytes + more
        if self._bytes <= self._limit:
            return
        files = sorted(_files(self._folder))
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= LEFT * self._limit:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._bytes = total

    def _size(self) -> int:
        return sum(size for _, size, _ in _files(self._folder))


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of every state."""
    found = []
    for path in folder.glob("*/*.safetensors"):
        try:
            facts = path.stat()
        except FileNotFoundError:  # another process let it go
            continue
        found.append((facts.st_mtime, facts.st_size, path))
    return found


def _read(path: Path, shape: tuple[int, int], dtype: torch.dtype) -> Tensor | None:
    """A state; None if it is not there, or not what was written."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            state: Tensor = file.get_tensor(NAME)
            written = (file.metadata() or {}).get(SUM)
        whole = state.shape == shape and state.dtype == dtype and written == _sum(path.name, state)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        log.warning("%s is damaged (%s) and is made anew.", path, error)
        path.unlink(missing_ok=True)
        return None
    if not whole:
        log.warning("%s is not what was written and is made anew.", path)
        path.unlink(missing_ok=True)
        return None
    os.utime(path)
    return state


def _sum(name: str, state: Tensor) -> str:
    found = hashlib.blake2b(name.encode(), digest_size=16)
    found.update(state.contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()


def _keys(entry: Entry, packed: Packed) -> list[str]:
    """What determines the states of each text."""
    base = entry.cut.base
    facts = [FORMAT, base_key(base), str(base.rope_scaling), products_of(base), entry.cut.start, entry.scope]
    ahead = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16)
    rows = np.stack([t.cpu().numpy().astype(np.int32) for t in (packed.ids, packed.positions, packed.segment)], 1)
    found = []
    for row, length, start in zip(rows, packed.lengths.tolist(), entry.starts(packed).tolist(), strict=True):
        own = ahead.copy()
        own.update(np.ascontiguousarray(row[:, :length]).data)
        own.update(f"from {start}".encode())
        found.append(own.hexdigest())
    return found

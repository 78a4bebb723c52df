"""Where an expert comes from: task, split and seed, and the rows that trained or chose it.

Rows are named by their number in the published data, so that they are known again in another split, under another
seed, another row cap or other sensitive attributes of the same data.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.card import Card
from tasks.task import TaskView


@dataclass(frozen=True)
class Origin:
    """A task on whose rows an expert was trained, chosen or calibrated.

    Attributes
    ----------
    task, protocol : str
    split : int
    seed : int or None
        Suite seed that made the split; None where no seed did.
    data : str
        sha256 of the published files: equal for all tasks made of the same rows.
    trained, chosen : frozenset of int
        Published numbers of the rows that fitted its weights, and of those that chose or calibrated it.
    """

    task: str
    protocol: str
    split: int
    seed: int | None
    data: str
    trained: frozenset[int] = frozenset()
    chosen: frozenset[int] = frozenset()

    @classmethod
    def of(cls, view: TaskView, *, trained: Tensor | None = None, chosen: Tensor | None = None) -> Origin:
        """The origin of what is made on some rows (positions in the view)."""
        none = torch.empty(0, dtype=torch.int64)
        parts = (view.rows[none if rows is None else rows] for rows in (trained, chosen))
        seen = (frozenset(part.tolist()) for part in parts)
        split = view.split
        return cls(view.name, split.protocol, split.index, split.seed, data_hash(view.card), *seen)

    @classmethod
    def of_training(cls, view: TaskView) -> Origin:
        """The origin of what is trained on the training rows and chosen on the validation rows of a view."""
        return cls.of(view, trained=view.split.train, chosen=view.split.validation)

    @property
    def words(self) -> str:
        """As options of a command."""
        seed = "" if self.seed is None else f" --seed {self.seed}"
        protocol = "" if self.protocol == "robust" else f" --protocol {self.protocol}"
        return f"--task {self.task} --split {self.split}{seed}{protocol}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form; rows as compressed bits."""
        facts = {"task": self.task, "protocol": self.protocol, "split": self.split, "seed": self.seed}
        return facts | {"data": self.data, "trained": _bits(self.trained), "chosen": _bits(self.chosen)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Origin:
        """The inverse of :meth:`as_dict`.

        Raises
        ------
        ValueError
            If the facts are no origin.
        """
        try:
            rows = (_rows(facts[part]) for part in ("trained", "chosen"))
            names = (str(facts["task"]), str(facts["protocol"]), int(facts["split"]), facts["seed"], str(facts["data"]))
            return cls(*names, *rows)
        except (KeyError, TypeError, ValueError, zlib.error, binascii.Error) as error:
            raise ValueError(f"a record of the rows that it has seen is damaged ({error!r})") from error


def joined(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """The same origins, those of one split as one."""
    found: dict[tuple[Any, ...], Origin] = {}
    for one in origins:
        key = (one.task, one.protocol, one.split, one.seed, one.data)
        other = found.get(key, Origin(*key))
        found[key] = Origin(*key, one.trained | other.trained, one.chosen | other.chosen)
    return tuple(found.values())


def seen_among(origins: Iterable[Origin], view: TaskView, rows: Tensor, *, trained_only: bool = False) -> Tensor:
    """[r] bool: which rows (positions in the view) trained or chose an expert of these origins, in whatever split.

    ``trained_only`` leaves out rows that chose or calibrated it.
    """
    same = [origin for origin in origins if origin.data == data_hash(view.card)]
    known = frozenset[int]().union(*(o.trained if trained_only else o.trained | o.chosen for o in same))
    return torch.tensor([row in known for row in view.rows[rows].tolist()], dtype=torch.bool)


def data_hash(card: Card) -> str:
    """sha256 over the files with a card's rows; of what is simulated, the card's."""
    files = [file.sha256 for file in card.file if file.role == "table"]
    return hashlib.sha256("".join(files).encode()).hexdigest() if files else card.hash


def _bits(rows: frozenset[int]) -> str:
    flags = np.zeros(max(rows, default=-1) + 1, dtype=bool)
    flags[sorted(rows)] = True
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes(), 9)).decode()


def _rows(text: str) -> frozenset[int]:
    flags = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), dtype=np.uint8))
    return frozenset(np.flatnonzero(flags).tolist())

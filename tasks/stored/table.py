"""An encoded table in a folder: the rows of a task that no memory holds, and a sample that is a task of its own."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from foundation.hashing import hash_file
from foundation.seeding import torch_generator
from tasks.card import Card, DataError
from tasks.encode import Encoder, flip_of
from tasks.stored.mapped import MappedArray
from tasks.stored.packing import Packing
from tasks.task import HIDDEN, Split, Task, TaskView
from tasks.thinning import thinned
from tasks.values import as_words

MANIFEST, ENCODER, SAMPLE = "manifest.json", "encoder.json", "sample.parquet"
ARRAYS: dict[str, Any] = {
    "numbers": np.float32, "codes": np.uint8, "labels": np.uint8, "groups": np.uint16, "parts": np.uint8,
    "sampled": np.int64,
}  # fmt: skip
"""Files of the folder and what they hold: see :class:`StoredTable`."""
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class StoredTable:
    """The rows of a task in files.

    Attributes
    ----------
    folder : Path
        ``numbers.bin`` and ``codes.bin`` (encoded columns, :class:`tasks.stored.packing.Packing`), ``labels.bin``,
        ``groups.bin``, ``parts.bin`` (0 train, 1 validation, 2 test, 3 none), and the sample: ``sampled.bin`` (its
        rows: those of the validation part, then those of the test part) and ``sample.parquet`` (their raw columns).
    card : Card
    facts : mapping
        The manifest.
    """

    folder: Path
    card: Card
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path, card: Card, *, verify: bool = True) -> StoredTable:
        """A table that was written; ``verify`` checks the hash of every file.

        Raises
        ------
        DataError
            If a file is missing or damaged.
        """
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, hash in facts["sha256"].items() if verify else ():
            if not (folder / name).is_file() or hash_file(folder / name) != hash:
                raise DataError(
                    f"{folder / name} of an encoded table is missing or damaged; remove {folder} and run again: the "
                    "table is encoded anew."
                )
        return cls(folder, card, facts)

    def __len__(self) -> int:
        """Rows of the task."""
        return int(self.facts["rows"])

    @property
    def name(self) -> str:
        """Name of the task."""
        return str(self.facts["name"])

    @property
    def hash(self) -> str:
        """That of the task, as :func:`tasks.load.load_task` would give it."""
        return str(self.facts["task_hash"])

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(self.facts["group_names"])

    @cached_property
    def encoder(self) -> Encoder:
        """How the columns are encoded."""
        return Encoder.from_json((self.folder / ENCODER).read_text(encoding="utf-8"))

    @cached_property
    def packing(self) -> Packing:
        """How the features are kept."""
        return Packing(self.encoder)

    @cached_property
    def labels(self) -> np.ndarray:
        """[n] uint8."""
        return self._array("labels").take(np.arange(len(self)))

    @cached_property
    def groups(self) -> np.ndarray:
        """[n] uint16."""
        return self._array("groups").take(np.arange(len(self)))

    @cached_property
    def parts(self) -> np.ndarray:
        """[n] uint8."""
        return self._array("parts").take(np.arange(len(self)))

    def rows_of(self, part: str) -> np.ndarray:
        """[r] int64 rows of the part "train", "validation" or "test", ascending."""
        return np.flatnonzero(self.parts == PARTS.index(part))

    def features(self, rows: np.ndarray) -> Tensor:
        """[r, d] float32 encoded rows, in the order that they are asked for."""
        numbers, codes = self._features
        return self.packing.unpack(numbers.take(rows), codes.take(rows))

    def labels_of(self, rows: np.ndarray) -> Tensor:
        """[r] int64 labels of rows."""
        return torch.from_numpy(self.labels[rows].astype(np.int64))

    def groups_of(self, rows: np.ndarray) -> Tensor:
        """[r] int64 groups of rows."""
        return torch.from_numpy(self.groups[rows].astype(np.int64))

    def view(self, rows: np.ndarray) -> TaskView:
        """Rows as a view without raw columns: what an expert needs to answer for them. Labels are hidden."""
        task = dataclasses.replace(
            self.sample,
            features=self.features(rows),
            labels=torch.full((len(rows),), HIDDEN),
            groups=self.groups_of(rows),
            rows=torch.from_numpy(rows),
            frame=pd.DataFrame(index=range(len(rows))),
            flip=None,
        )
        return TaskView(**{f.name: getattr(task, f.name) for f in dataclasses.fields(TaskView)})

    def tuning_view(self, size: int) -> TaskView:
        """A view for models that are fitted in memory: at most ``size`` training rows, and the validation sample.

        Training rows are stratified by label x group. There are no raw columns and no test rows.
        """
        train, sample = self.rows_of("train"), self.sample
        seed = torch_generator(int(self.facts["seed"]), "tuning rows")
        picked = train[thinned(self.labels_of(train), self.groups_of(train), size, seed).numpy()]
        rows = np.concatenate((picked, sample.rows[sample.split.validation].numpy()))
        places, none = torch.arange(len(rows)), torch.empty(0, dtype=torch.int64)
        split = dataclasses.replace(
            sample.split, train=places[: len(picked)], validation=places[len(picked) :], test=none
        )
        return dataclasses.replace(self.view(rows), labels=self.labels_of(rows), split=split)

    def blocks(self, part: str, size: int) -> Iterator[TaskView]:
        """The rows of a part in the order of the file, at most ``size`` at a time."""
        rows = self.rows_of(part)
        for start in range(0, len(rows), size):
            yield self.view(rows[start : start + size])

    @cached_property
    def sample(self) -> Task:
        """The sampled rows as a task: those of the validation part, then those of the test part."""
        rows = self._array("sampled").take(np.arange(int(self.facts["sampled"])))
        frame = self._sample_frame()
        chosen = int(self.facts["validation_sample"])
        typical = {
            column: [math.nan if value is None else value for value in values]
            for column, values in self.facts["typical"].items()
        }
        none = torch.empty(0, dtype=torch.int64)
        places = torch.arange(len(rows))
        return Task(
            name=self.name,
            features=self.encoder.encode(frame),
            labels=self.labels_of(rows),
            groups=self.groups_of(rows),
            group_names=self.group_names,
            split=Split(self.facts["protocol"], self.facts["split"], none, places[:chosen], places[chosen:]),
            feature_names=self.encoder.feature_names,
            columns=self.encoder.columns,
            rows=torch.from_numpy(rows),
            edges=None,
            card=self.card,
            encoder=self.encoder,
            frame=frame,
            use_sensitive=self.facts["use_sensitive"],
            flip=flip_of(self.encoder, typical, len(self.group_names)),
            hash=self.hash,
            left=self.facts["left"],
        )

    @cached_property
    def _features(self) -> tuple[MappedArray, MappedArray]:
        return self._array("numbers", len(self.packing.numeric)), self._array("codes", len(self.packing.worded))

    def _array(self, name: str, *width: int) -> MappedArray:
        rows = int(self.facts["sampled"]) if name == "sampled" else len(self)
        return MappedArray(self.folder / f"{name}.bin", ARRAYS[name], (rows, *width))

    def _sample_frame(self) -> pd.DataFrame:
        frame = pd.read_parquet(self.folder / SAMPLE)
        worded = {column.name for column, _ in self.packing.worded}
        return pd.DataFrame({name: as_words(frame[name]) if name in worded else frame[name] for name in frame.columns})

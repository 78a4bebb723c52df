"""A fitted mixture that predicts from raw columns, away from the data and the benchmark."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from experts.expert import Expert
from experts.loading import load_expert
from foundation.files import write_json, write_text
from moe.mixture import Mixture, load_mixture
from tasks.card import Card
from tasks.encode import Encoder
from tasks.frame import clean_text
from tasks.task import HIDDEN, Split, TaskView


class MissingColumnError(ValueError):
    """Raw rows lack a column that the model needs."""


@dataclass(frozen=True)
class ServableMixture:
    """A mixture, the encoder that was fitted with it, and the card that says what it means."""

    mixture: Mixture
    encoder: Encoder
    card: Card
    name: str
    use_sensitive: str

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict raw rows.

        Parameters
        ----------
        frame : DataFrame
            Raw columns as in the published file; others are ignored. Missing values are allowed, also in the
            words of the file (``?``); codes of a binned column are put into their bins.

        Returns
        -------
        DataFrame
            ``probability`` of class 1 in [0, 1] and ``prediction`` in {0, 1}, in the order and index of ``frame``.

        Raises
        ------
        MissingColumnError
            If a column is absent; the text names all that are.
        """
        needed = [column.name for column in self.encoder.columns]
        absent = [name for name in needed if name not in frame.columns]
        if absent:
            raise MissingColumnError(
                f"The rows lack the column(s) {', '.join(absent)} that the model of {self.name} was trained with. "
                "Add them; an unknown value may be left empty, an unknown column may not."
            )
        view = self._view(clean_text(frame[needed].copy(), self.card))
        probability = torch.sigmoid(self.mixture.logits(view, torch.arange(len(frame))).double()).numpy()
        return pd.DataFrame(
            {"probability": probability, "prediction": (probability > 0.5).astype("int64")}, index=frame.index
        )

    def _view(self, frame: pd.DataFrame) -> TaskView:
        none = torch.empty(0, dtype=torch.int64)
        count = len(frame)
        return TaskView(
            name=self.name, features=self.encoder.encode(frame), labels=torch.full((count,), HIDDEN),
            groups=torch.zeros(count, dtype=torch.int64), group_names=("unknown",),
            split=Split("serving", 0, none, none, none), feature_names=self.encoder.feature_names,
            columns=self.encoder.columns, rows=torch.arange(count), edges=None, card=self.card, encoder=self.encoder,
            frame=frame, use_sensitive=self.use_sensitive, flip=None, hash="",
        )  # fmt: skip


def save_servable(mixture: Expert, view: TaskView, folder: Path) -> None:
    """Write the system, the encoder and the card: all that raw rows need to become predictions."""
    system = folder / "mixture"
    system.mkdir(parents=True)
    mixture.save(system)
    write_text(folder / "encoder.json", view.encoder.to_json())
    write_text(folder / "card.json", view.card.model_dump_json(indent=2))
    facts = {"task": view.name, "task_hash": view.hash, "use_sensitive": view.use_sensitive}
    write_json(folder / "model.json", {**facts, "positive": view.card.label.meaning, "groups": list(view.group_names)})


def load_servable(folder: Path) -> ServableMixture:
    """Read what :func:`save_servable` wrote: ``mixture/``, ``encoder.json``, ``card.json`` and ``model.json``."""
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return ServableMixture(
        mixture=load_mixture(folder / "mixture", load_expert),
        encoder=Encoder.from_json((folder / "encoder.json").read_text(encoding="utf-8")),
        card=Card.model_validate_json((folder / "card.json").read_text(encoding="utf-8")),
        name=facts["task"],
        use_sensitive=facts["use_sensitive"],
    )

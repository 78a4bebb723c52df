"""The graph between raw rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from benchmarks.models.error import ModelError
from tasks.card import Card
from tasks.edges import read_edges

Edges = Tensor | npt.NDArray[np.int64] | Path | str
"""[2, m] pairs of positions of rows, or a file of pairs of ids."""


def edges_of(edges: Edges, frame: pd.DataFrame, card: Card) -> Tensor:
    """[2, m] int64 pairs of positions, first < second, sorted, each once, no self-loops.

    Raises
    ------
    ModelError
        If pairs lead to rows that are not there, or the card does not say how a file is read.
    DataError
        If a file is no list of pairs.
    """
    if isinstance(edges, (str, Path)):
        return torch.from_numpy(read_edges(Path(edges), _separator(card), _ids(frame, card)))
    pairs = torch.as_tensor(edges)
    if pairs.ndim != 2 or pairs.shape[0] != 2 or pairs.dtype.is_floating_point:
        raise ModelError(f"edges are whole numbers of the shape [2, m], not {tuple(pairs.shape)} of {pairs.dtype}.")
    pairs = pairs.to(torch.int64)
    if pairs.numel() and not (int(pairs.min()) >= 0 and int(pairs.max()) < len(frame)):
        raise ModelError(
            f"edges lead to row {int(pairs.max())}, but there are {len(frame)} rows, numbered from 0; give "
            "positions of rows in the table."
        )
    pairs = pairs.sort(dim=0).values
    found: Tensor = torch.unique(pairs[:, pairs[0] != pairs[1]], dim=1)
    return found


def _separator(card: Card) -> str:
    if card.edges is None:
        raise ModelError(f"The card of {card.name!r} has no [edges] to read a file by; pass positions of rows, [2, m].")
    return card.edges.separator


def _ids(frame: pd.DataFrame, card: Card) -> npt.NDArray[np.int64]:
    key = card.edges.key if card.edges else ""
    if not key:
        return np.arange(len(frame))
    if key not in frame.columns:
        raise ModelError(f"The rows lack the column {key!r}, by which the file of edges names them; add it.")
    ids: npt.NDArray[np.int64] = frame[key].to_numpy()
    return ids

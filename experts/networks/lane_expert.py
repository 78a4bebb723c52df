"""What experts of one trained lane share: their contract, and how they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from experts.networks.lanes import LaneParameters
from experts.saved import (
    DESCRIPTION,
    WEIGHTS,
    ExpertError,
    SavedExpert,
    description_of,
    read_description,
    read_weights,
    write_weights,
)
from foundation.files import write_json


class LaneExpert(SavedExpert, Protocol):
    """An expert of one lane, tabular or graph."""

    @property
    def parameters(self) -> LaneParameters:
        """One lane."""
        ...


def save_lane(expert: LaneExpert, folder: Path, **further: Any) -> None:
    """Write ``weights.safetensors`` and ``expert.json``, which also says ``further``, into an existing folder."""
    write_weights(folder / WEIGHTS, {"theta": expert.parameters.theta})
    write_json(folder / DESCRIPTION, description_of(expert, hidden=expert.parameters.hidden, **further))


def read_lane(path: Path, families: Sequence[str], what: str) -> dict[str, Any]:
    """What ``expert.json`` says of a lane; ``what`` names an expert of these families in the error."""
    facts = read_description(path, families, what)
    units = facts.get("hidden")
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
        raise ExpertError(f"{path} does not describe {what}: hidden is {units!r}, not a positive integer.")
    return facts


def read_theta(path: Path, shape: tuple[int, int]) -> Tensor:
    """Weights of one lane, checked against the shape that the description asks for."""
    tensors = read_weights(path)
    if set(tensors) != {"theta"} or tensors["theta"].shape != shape or tensors["theta"].dtype != torch.float32:
        found = {name: (tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors.items()}
        raise ExpertError(f"{path} holds {found}, but {DESCRIPTION} asks for theta {shape} of float32.")
    if not bool(tensors["theta"].isfinite().all()):
        raise ExpertError(f"{path} holds weights that are not finite; train the expert again.")
    return tensors["theta"]

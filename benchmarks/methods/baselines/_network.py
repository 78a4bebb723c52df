"""A fitted torch network as a model of encoded features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from foundation.files import atomic_path


@dataclass(frozen=True)
class Network:
    """A network [r, d] → [r, 1], without a last sigmoid."""

    module: torch.nn.Sequential

    @property
    def parameter_count(self) -> int:
        """Weights and biases."""
        return sum(p.numel() for p in self.module.parameters())

    def margins(self, features: Tensor) -> Tensor:
        """[r] logits."""
        with torch.no_grad():
            margins: Tensor = self.module(features)[:, 0]
        return margins

    def write(self, folder: Path) -> None:
        """Write the weights as safetensors."""
        with atomic_path(folder / "weights.safetensors") as path:
            save_file(self.module.state_dict(), path)

"""Distillation: an expert learns what another model says of its rows, beside their labels.

Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network": with teacher probabilities
p_T = σ(z / T) and the expert's q_T = σ(m / T), a row's loss is (1 − w) · task + w · T² · KL(p_T ‖ q_T). T² keeps the
size of the gradient: for large T it is w · (m − z) / 4, whatever T is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, eq=False)
class Teacher:
    """What a model says of training rows, and how much it counts.

    A teacher that was fitted on these rows would teach their labels once more, noise included: its margins are to be
    those of a model that has not seen the row (out of fold).

    Attributes
    ----------
    margins : [n_train] float
        Log-odds of yes, in the order of the training rows.
    weight : float
        w in [0, 1]; 0 leaves the task's loss alone, 1 the teacher.
    temperature : float
        T > 0: above 1 the teacher's doubts count more.

    Raises
    ------
    ValueError
        If a setting is out of its range, or a margin is not finite.
    """

    margins: Tensor
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"The weight of a teacher is {self.weight}; give a number from 0 to 1.")
        if not self.temperature > 0:
            raise ValueError(f"The temperature of a teacher is {self.temperature}; give a number above 0.")
        if not bool(self.margins.isfinite().all()):
            raise ValueError("The teacher's margins are not finite for every training row; fit it again.")

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.margins)

    def take(self, rows: Tensor) -> Teacher:
        """Of some rows."""
        return replace(self, margins=self.margins[rows])

    def to(self, device: torch.device) -> Teacher:
        """The same on a device, float32."""
        return replace(self, margins=self.margins.to(device, torch.float32))

    def as_dict(self) -> dict[str, Any]:
        """What decides the training with it."""
        digest = hashlib.sha256(self.margins.double().cpu().numpy().tobytes()).hexdigest()
        return {"margins": digest, "weight": self.weight, "temperature": self.temperature}

    def blended(self, by_row: Tensor, margins: Tensor) -> Tensor:
        """[k, n] losses by row of experts with ``margins`` [k, n] whose losses on the task are ``by_row`` [k, n]."""
        temperature = self.temperature
        soft = bernoulli_kl(self.margins / temperature, margins / temperature)
        return (1 - self.weight) * by_row + self.weight * temperature**2 * soft


def bernoulli_kl(margins: Tensor, base: Tensor) -> Tensor:
    """[k, n] KL(p ‖ p_base) in nats between the answers' distributions, from margins that broadcast to [k, n]."""
    p = torch.sigmoid(margins)
    yes = logsigmoid(margins) - logsigmoid(base)
    no = logsigmoid(-margins) - logsigmoid(-base)
    return p * yes + (1 - p) * no

"""Training of the graph baselines: seeded layers, dropout, and the weights of the best checkpoint."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from foundation.seeding import derive_seed


@contextlib.contextmanager
def seeded(seed: int, *words: str | int) -> Iterator[None]:
    """Draws of the global generator come from a named seed inside, and go on as before afterwards.

    For layers that draw their first weights from it; draws of the training come from explicit generators.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *words))
        yield


def dropout(values: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Values [...] with a share ``rate`` of them 0 and the others scaled up, drawn from ``generator``."""
    if rate == 0:
        return values
    kept = torch.rand(values.shape, generator=generator) >= rate
    return values * kept / (1 - rate)


def train(
    modules: Sequence[nn.Module],
    epochs: int,
    step: Callable[[int], None],
    judge: Callable[[], float],
    *,
    every: int = 1,
) -> int:
    """Train for some epochs and leave the modules with the weights that were judged best.

    Parameters
    ----------
    modules : sequence of nn.Module
        What is kept. They are in training mode in ``step``, and in evaluation mode, without gradients, in ``judge``.
    epochs : int
    step : callable
        (epoch) → None: one epoch.
    judge : callable
        () → loss of the checkpoint, smaller is better (of validation rows); the first of equals stays.
    every : int
        Epochs between two checkpoints; the last epoch is one too.

    Returns
    -------
    Epoch (from 1) of the kept weights.

    Raises
    ------
    ArithmeticError
        If no checkpoint had a finite loss: training diverged.
    """
    best, chosen, kept = math.inf, 0, None
    for epoch in range(1, epochs + 1):
        for module in modules:
            module.train()
        step(epoch)
        if epoch % every and epoch != epochs:
            continue
        for module in modules:
            module.eval()
        with torch.no_grad():
            loss = judge()
        if loss < best:
            best, chosen, kept = loss, epoch, [copy.deepcopy(module.state_dict()) for module in modules]
    if kept is None:
        raise ArithmeticError(f"training diverged: no checkpoint of {epochs} epochs has a finite loss")
    for module, state in zip(modules, kept, strict=True):
        module.load_state_dict(state)
        module.eval()
    return chosen


def adam(modules: Sequence[nn.Module], params: Mapping[str, Any]) -> torch.optim.Adam:
    """Adam over the parameters of modules with ``params["lr"]`` and ``params["weight_decay"]``."""
    parameters = [p for module in modules for p in module.parameters()]
    return torch.optim.Adam(parameters, lr=params["lr"], weight_decay=params["weight_decay"], fused=True)

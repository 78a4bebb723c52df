"""Work that is done again, smaller, when memory does not suffice."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import nn

from llm_experts.bases.quantised import weight_bytes

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HALVINGS = 12

CPU_FLOATS = 1 << 25
"""Floats of activations that a step on a CPU holds at once, 128 MiB: more would leave its caches."""

OF_WHAT_IS_LEFT = 0.5
"""Share of a GPU's memory beside the base's weights for activations: estimates are rough, and kernels need some."""


def activation_floats(model: nn.Module) -> int:
    """Floats of activations that one step may hold at once: lanes of adapters fill what there is.

    On a GPU half of what the base's weights leave of the memory that this process may take, which is a share where a
    unit of a cluster asked for one (:func:`take_share_of_gpu`). It follows from card, share and weights alone, never
    from what is free at the moment, so that the same run goes through lanes in the same chunks.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return CPU_FLOATS
    whole = torch.cuda.get_device_properties(device).total_memory
    share = torch.cuda.get_per_process_memory_fraction(device)
    return floats_beside(int(whole * share), weight_bytes(model))


def floats_beside(memory: int, weights: int) -> int:
    """Float32 numbers, at least one, that fit in the share for activations of ``memory`` bytes beside the weights'."""
    return max(1, int((memory - weights) * OF_WHAT_IS_LEFT) // 4)


def take_share_of_gpu(share: float) -> None:
    """Bound what this process may take of each GPU that it sees; 0, or a whole number of GPUs: all of it.

    A scheduler that lends a quarter of a GPU only counts. With this a process that would take more runs out of memory,
    gives way (:func:`until_it_fits`), and leaves its neighbours alone.
    """
    if torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(share if 0 < share < 1 else 1.0, device)


def until_it_fits(work: Callable[[], Result], give_way: Callable[[], bool]) -> Result:
    """The result of work that is done anew, and smaller, as often as memory runs out.

    Parameters
    ----------
    work : callable
        Asks for its limits each time it is called.
    give_way : callable
        Makes the work smaller; False if nothing is left to give.

    Raises
    ------
    RuntimeError
        Torch's own error, if even the smallest work does not fit.
    """
    while True:
        try:
            return work()
        except RuntimeError as error:
            if not out_of_memory(error) or not give_way():
                raise
        gc.collect()  # behind the handler: until then its traceback holds the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class Halving:
    """Does work again with half the batch when memory runs out; the smaller batch stays for all later work.

    Parameters
    ----------
    device : str
        "cpu" or "cuda": which of the two limits of a setting holds.
    """

    def __init__(self, device: str) -> None:
        self._device, self._times = device, 0

    def limit(self, setting: Mapping[str, int] | int) -> int:
        """What a setting allows now, at least 1."""
        whole = setting if isinstance(setting, int) else setting[self._device]
        return max(1, whole >> self._times)

    def run(self, work: Callable[[], Result]) -> Result:
        """The result of work that asks for its limits anew each time it is called.

        Raises
        ------
        RuntimeError
            Torch's own error, if even the smallest batch does not fit.
        """
        return until_it_fits(work, self._give_way)

    def _give_way(self) -> bool:
        if self._times == HALVINGS:
            return False
        self._times += 1
        log.warning("Memory did not suffice; going on with batches of 1/%d of their size.", 1 << self._times)
        return True


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that memory did not suffice; CPU allocators have no error class of their own."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text

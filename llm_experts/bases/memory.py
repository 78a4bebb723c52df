"""Batches that shrink when memory does not suffice."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HALVINGS = 12


class Halving:
    """Does work again with half the batch when memory runs out; the smaller batch stays for all later work.

    Parameters
    ----------
    device : str
        "cpu" or "cuda": which of the two limits of a setting holds.
    """

    def __init__(self, device: str) -> None:
        self._device, self._times = device, 0

    def limit(self, setting: dict[str, int]) -> int:
        """What a setting allows now, at least 1."""
        return max(1, setting[self._device] >> self._times)

    def run(self, work: Callable[[], Result]) -> Result:
        """The result of work that asks for its limits anew each time it is called.

        Raises
        ------
        RuntimeError
            Torch's own error, if even the smallest batch does not fit.
        """
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not out_of_memory(error) or self._times == HALVINGS:
                    raise
            self._times += 1  # behind the handler: until then its traceback holds the tensors
            log.warning("Memory did not suffice; going on with batches of 1/%d of their size.", 1 << self._times)
            gc.collect()
            if self._device == "cuda":
                torch.cuda.empty_cache()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that memory did not suffice; CPU allocators have no error class of their own."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text

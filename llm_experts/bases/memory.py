"""Work that is done again, smaller, when memory does not suffice."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HALVINGS = 12


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

"""Copies of modules that share the weights of the original."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


def shared_copy(module: M) -> M:
    """A copy of a module tree whose parameters and buffers are the very tensors of the original.

    INT8 modules of bitsandbytes move their codes from the weight to a state of their own in their first pass. That is
    done here, before the copy: a copy that ran first would take the codes from the original, which from then on
    would read its weights as something else, without a word.
    """
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    for part in module.modules():
        if hasattr(part, "init_8bit_state"):
            eight_bit: Any = part
            if eight_bit.weight.CB is not None:
                eight_bit.init_8bit_state()
            tensors += [value for value in vars(eight_bit.state).values() if isinstance(value, Tensor)]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})

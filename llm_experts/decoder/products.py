"""Matrix products with frozen float32 weights through oneDNN, where the library's own path is the slower one.

Torch hands float32 products to MKL, which takes its AVX2 kernels on processors of other makers even where those have
AVX-512; oneDNN takes what the processor has. The result is true float32 with sums in another order (1e-6 of its size).
What decides is the processor and not a stopwatch, so that the same machine always gives the same numbers.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError

CHOICE = "FAIRMOE_PRODUCTS"
"""Environment variable: ``library`` or ``onednn`` instead of what the processor says."""
LIBRARY, ONEDNN = "library", "onednn"
LEAST_ROWS = 16
"""Tokens below which a product is too small to gain."""
AGREEMENT = 1e-5
"""Largest difference from the library's product, relative to its largest entry."""


def products_of(base: Base) -> str:
    """Which library multiplies for a base: ``onednn`` or ``library``; part of what an expert's numbers come from."""
    weight = base.model.get_input_embeddings().weight
    if not base.wide or weight.device.type != "cpu" or weight.dtype != torch.float32:
        return LIBRARY
    return products_here()


@functools.cache
def products_here() -> str:
    """Which library multiplies float32 matrices on this machine.

    Raises
    ------
    BaseError
        If the environment asks for one that does not exist here.
    """
    asked = os.environ.get(CHOICE)
    if asked is None:
        suits = torch.backends.cpu.get_cpu_capability() == "AVX512" and _maker() != "GenuineIntel"
        return ONEDNN if suits and _agrees() else LIBRARY
    if asked not in (LIBRARY, ONEDNN) or (asked == ONEDNN and not _agrees()):
        raise BaseError(
            f"{CHOICE}={asked} asks for matrix products that are not here: it is {LIBRARY} or, with a build of torch "
            f"that has oneDNN, {ONEDNN}. Unset it to let the processor decide."
        )
    return asked


def frozen_products(base: Base) -> AbstractContextManager[Any]:
    """Within it, products with frozen weights of a base go through the library that :func:`products_of` names."""
    return _FrozenProducts() if products_of(base) == ONEDNN else contextlib.nullcontext()


class _FrozenProducts(TorchFunctionMode):
    """Takes over ``torch.nn.functional.linear`` for weights that do not train."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if func is functional.linear and len(args) in (2, 3) and not named and _fits(args[0], args[1]):
            apply: Callable[..., Tensor] = _FrozenLinear.apply
            found = apply(args[0], args[1])
            return found if len(args) == 2 or args[2] is None else found + args[2]
        return func(*args, **named)


class _FrozenLinear(torch.autograd.Function):
    """x Wᵀ with a weight that needs no gradient; lanes (``torch.vmap``) are rows of one product."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return _product(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG004 - torch's contract
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        apply: Callable[..., Tensor] = _FrozenLinear.apply  # linear again, so that it has a derivative, too
        return apply(upstream[0], weight.T), None

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[int | None, int | None], x: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        apply: Callable[..., Tensor] = _FrozenLinear.apply
        return apply(x if in_dims[0] is None else x.movedim(in_dims[0], 0), weight), 0


def _fits(x: Tensor, weight: Tensor) -> bool:
    return (
        _lanes_alone()
        and not torch._C._functorch.is_batchedtensor(weight)
        and not weight.requires_grad
        and weight.ndim == 2
        and x.dtype == weight.dtype == torch.float32
        and x.numel() >= LEAST_ROWS * x.shape[-1]
    )


def _lanes_alone() -> bool:
    """Whether lanes are the only transformation around, if there is one: second derivatives need the library's."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    return all(level.key() == torch._C._functorch.TransformType.Vmap for level in stack)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    found: Tensor = torch.ops.mkldnn._linear_pointwise(flat, weight, None, "none", [], "")
    return found.view(*x.shape[:-1], len(weight))


def _maker() -> str:
    """The processor's maker as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("vendor_id")), "")


def _agrees() -> bool:
    """Whether oneDNN is there and multiplies as the library does."""
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not built or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(40, 96, generator=generator), torch.randn(72, 96, generator=generator)
    both = [(_product(x, weight), x @ weight.T), (_product(x @ weight.T, weight.T), x @ weight.T @ weight)]
    return all(bool((ours - theirs).abs().max() <= AGREEMENT * theirs.abs().max()) for ours, theirs in both)

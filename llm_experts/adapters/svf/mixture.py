"""Mixtures of SVF adapters: one α for all rows, or one per row of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf.layer import Mixture, SVFLinear


def svf_layers(model: nn.Module) -> list[SVFLinear]:
    """The adapted modules of a PEFT model, or of anything that holds some."""
    return [module for module in model.modules() if isinstance(module, SVFLinear)]


@contextmanager
def svf_mixture(model: nn.Module, names: Sequence[str], alpha: Tensor) -> Iterator[None]:
    """Within, the model is a mixture of adapters in multiplier space: z(α) = max(0, 1 + Σ_k α_k (z_k − 1)).

    Whichever adapters are active does not matter; ``disable_adapter`` still gives the base.

    Parameters
    ----------
    model : nn.Module
        Holds SVF layers: a PEFT model, a ``Top``.
    names : sequence of str
        K adapters. A layer that lacks one treats it as the base.
    alpha : [K] or [rows, K]
        One mixture for the batch, or one per row (the first dimension of what goes through the layers, which are then
        factored). May require a gradient, and may be batched by ``vmap``.

    Raises
    ------
    AdapterError
        If an adapter is not there or merged, or alpha does not have K columns.
    """
    layers = svf_layers(model)
    _check(layers, names, alpha)
    before = [layer.mixture for layer in layers]
    try:
        for layer in layers:
            layer.mixture = Mixture(tuple(names), alpha)
        yield
    finally:
        for layer, mixture in zip(layers, before, strict=True):
            layer.mixture = mixture


def _check(layers: list[SVFLinear], names: Sequence[str], alpha: Tensor) -> None:
    if not layers:
        raise AdapterError("The model has no SVF adapters to mix; add some with SVFConfig.")
    there = {name for layer in layers for name in layer.svf_p}
    missing = [name for name in names if name not in there]
    if missing or not names:
        raise AdapterError(
            f"There is no SVF adapter {', '.join(map(repr, missing)) or 'named'}; there are {', '.join(sorted(there))}."
        )
    if alpha.ndim not in (1, 2) or alpha.shape[-1] != len(names):
        raise AdapterError(
            f"alpha of shape {tuple(alpha.shape)} does not weigh {len(names)} adapters: give one weight each, [K] for "
            "all rows or [rows, K] for every row its own."
        )
    if any(layer.merged for layer in layers):
        raise AdapterError("Adapters that are merged into the weights cannot be mixed; call unmerge_adapter() first.")

"""Several adapters as one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from llm_experts.adapters import lora
from llm_experts.adapters.delta import Delta, Place, matrix, part_of
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.guard import check_names
from llm_experts.adapters.injection import inject
from llm_experts.adapters.registry import kind_of
from llm_experts.adapters.state import State, adapter_state, set_adapter_state
from llm_experts.adapters.svf import dense_weight

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel


@dataclass(frozen=True, eq=False)
class WeightedAdapter:
    """A weighted sum of adapters as one adapter.

    Attributes
    ----------
    config, state
        An adapter as any other: :func:`add_adapter`, ``save_adapter``, or a slot of a bank.
    errors : dict
        By place, ‖ΔW - Σ w_k ΔW_k‖ / ‖Σ w_k ΔW_k‖ (Frobenius): 0 where the sum is exact.
    """

    config: PeftConfig
    state: State
    errors: dict[Place, float]

    @property
    def error(self) -> float:
        """The largest of :attr:`errors`."""
        return max(self.errors.values(), default=0.0)


def weighted_adapter(
    peft_model: PeftModel,
    names: Sequence[str],
    weights: Sequence[float],
    kind: Literal["exact", "recompress"] = "exact",
    rank: int | None = None,
) -> WeightedAdapter:
    """The adapter that adds Σ w_k ΔW_k to every matrix.

    Parameters
    ----------
    peft_model : PeftModel
        Holds the adapters; it is not changed.
    names, weights : sequences of K
    kind : {"exact", "recompress"}
        ``exact``: a LoRA whose rank is the sum of the ranks (for IA³, gains 1 + Σ w (l - 1)). ``recompress``: the best
        approximation of a given rank, by QR decompositions of the stacked factors and the singular values of the small
        product of their triangles (Eckart & Young, 1936); DoRA's dense change is decomposed as it is.
    rank : int, optional
        Of the recompressed adapter; by default the largest of the sources.

    Raises
    ------
    AdapterError
        Where no such adapter exists: exact sums of DoRA, which are not of low rank; virtual tokens; SVF, whose vectors
        are mixed themselves.
    """
    if len(names) != len(weights) or not names:
        raise AdapterError(f"{len(names)} adapters and {len(weights)} weights are given; give one weight per adapter.")
    check_names(peft_model, set(names))
    model: Any = peft_model
    configs = [model.peft_config[name] for name in names]
    kinds = {kind_of(config).name for config in configs}
    _refuse_sums(kinds, kind)
    layers = model.get_base_model().get_decoder().layers
    deltas = [adapter_deltas(c, adapter_state(model, n), layers) for c, n in zip(configs, names, strict=True)]
    if kinds == {"ia3"}:
        return _gains(adapter_state(model, names[0]), configs[0], deltas, weights)
    target = max(c.r for c in configs) if rank is None else rank
    if target < 1:
        raise AdapterError(f"An adapter cannot have rank {target}; ranks start at 1.")
    if "dora" in kinds:
        return _recompressed_dense(deltas, weights, target, layers)
    factors = {
        place: stacked_factors(deltas, weights, place) for place in sorted({p for found in deltas for p in found})
    }
    return exact_lora(factors) if kind == "exact" else _recompressed(factors, target)


def add_adapter(peft_model: PeftModel, weighted: WeightedAdapter, name: str) -> PeftModel:
    """Put a weighted adapter beside its sources, active."""
    model = inject(peft_model, weighted.config, None, name)
    set_adapter_state(model, weighted.state, name)
    return model


def _refuse_sums(kinds: set[str], wanted: str) -> None:
    if kinds & {"soft_prompt", "prefix"}:
        raise AdapterError(
            "Virtual tokens are a text, not a change of matrices, and have no weighted sum; PEFT has none either. "
            "Mix the predictions of the experts with an output mixture."
        )
    if "svf" in kinds:
        raise AdapterError(
            "SVF experts are mixed by their multipliers, z = 1 + Σ w (z_k - 1), not by factors; use svf_mixture on the "
            "model, mixed_adapter for one mixture, or a bank."
        )
    if "dora" in kinds and wanted == "exact":
        raise AdapterError(
            "A weighted sum of DoRA adapters scales whole rows of W, so it is no low-rank adapter. PEFT's "
            "add_weighted_adapter would drop the learnt magnitudes and return another model, even for one adapter with "
            "weight 1. Use a AdapterBank, which is exact, or kind='recompress', which reports its error."
        )
    if "ia3" in kinds and (len(kinds) > 1 or wanted != "exact"):
        raise AdapterError(
            "IA³ adapters sum exactly among themselves only; use kind='exact', or a bank for several kinds."
        )


def _gains(
    first: State, config: Any, deltas: Sequence[Mapping[Place, Delta]], weights: Sequence[float]
) -> WeightedAdapter:
    """1 + Σ w (l - 1), where PEFT has Σ w l."""
    state = {}
    for key, value in first.items():
        parts = [(w, found[part_of(key)[0]]) for w, found in zip(weights, deltas, strict=True)]
        total = torch.ones(value.numel(), dtype=value.dtype, device=value.device)
        for weight, delta in parts:
            learnt = delta.gain if delta.gain is not None else delta.input_gain
            assert learnt is not None
            total += weight * learnt
        state[key] = total.view(value.shape)
    return WeightedAdapter(copy.deepcopy(config), state, dict.fromkeys(deltas[0], 0.0))


def stacked_factors(
    deltas: Sequence[Mapping[Place, Delta]], weights: Sequence[float], place: Place
) -> tuple[Tensor, Tensor]:
    """Factors [R, in] and [out, R] of the sum, scalings and weights in the second."""
    a, b = [], []
    for weight, found in zip(weights, deltas, strict=True):
        delta = found.get(place)
        if delta is not None and delta.a is not None and delta.b is not None:
            a.append(delta.a)
            b.append(weight * delta.scaling * delta.b)
    return torch.cat(a), torch.cat(b, 1)


def exact_lora(factors: Mapping[Place, tuple[Tensor, Tensor]]) -> WeightedAdapter:
    """A LoRA of factors A [R, in] and B [out, R] by place; smaller ones are filled with zeros, as PEFT has one rank."""
    rank = max(1, *(len(a) for a, _ in factors.values()))
    padded = {
        place: (nn.functional.pad(a, (0, 0, 0, rank - len(a))), nn.functional.pad(b, (0, rank - len(a))))
        for place, (a, b) in factors.items()
    }
    return _as_lora(padded, dict.fromkeys(factors, 0.0))


def _recompressed(factors: Mapping[Place, tuple[Tensor, Tensor]], rank: int) -> WeightedAdapter:
    best = {place: best_factors(a, b, rank) for place, (a, b) in factors.items()}
    return _as_lora({p: (a, b) for p, (a, b, _) in best.items()}, {p: error for p, (_, _, error) in best.items()})


@torch.no_grad()
def best_factors(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """Best factors of rank ``rank`` of B A, and the relative error.

    B = Q_b R_b and Aᵀ = Q_a R_a (reduced QR), so B A = Q_b (R_b R_aᵀ) Q_aᵀ: the singular values of the R × R core are
    those of the product. Costs O((in + out) R²) instead of a decomposition of the whole matrix.

    Parameters
    ----------
    a, b : [R, in], [out, R]

    Returns
    -------
    (a, b, error)
        [rank, in], [out, rank], and ‖B A - b a‖ / ‖B A‖.
    """
    q_b, r_b = torch.linalg.qr(b.double())
    q_a, r_a = torch.linalg.qr(a.T.double())
    u, s, vh = torch.linalg.svd(r_b @ r_a.T)
    small_a, small_b, error = _cut(u, s, vh, rank)
    return (small_a @ q_a.T).to(a.dtype), (q_b @ small_b).to(b.dtype), error


def _cut(u: Tensor, s: Tensor, vh: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """Factors of the first singular values, padded with zeros to ``rank``; √σ goes to each side."""
    kept = min(rank, len(s))
    root = s[:kept].sqrt()
    a, b = root[:, None] * vh[:kept], u[:, :kept] * root
    whole = float(s.square().sum().sqrt())
    error = float(s[kept:].square().sum().sqrt()) / whole if whole else 0.0
    return nn.functional.pad(a, (0, 0, 0, rank - kept)), nn.functional.pad(b, (0, rank - kept)), error


@torch.no_grad()
def _recompressed_dense(
    deltas: Sequence[Mapping[Place, Delta]], weights: Sequence[float], rank: int, layers: nn.ModuleList
) -> WeightedAdapter:
    """Best factors of dense changes, with DoRA's row scaling of W in them."""
    factors, errors = {}, {}
    for place in sorted({p for found in deltas for p in found}):
        module: Any = matrix(layers, place)
        here = [(w, found[place]) for w, found in zip(weights, deltas, strict=True) if place in found]
        if any(delta.offset is not None for _, delta in here):
            raise AdapterError(
                f"{place.name} has a bias, which DoRA does not scale with the rows; a LoRA cannot say so. Use a bank."
            )
        weight = dense_weight(module).double()
        total = torch.zeros_like(weight)
        for w, delta in here:
            assert delta.a is not None and delta.b is not None
            total += w * delta.scaling * (delta.b.double() @ delta.a.double())
            if delta.gain is not None:
                total += w * delta.gain.double()[:, None] * weight
        u, s, vh = torch.linalg.svd(total, full_matrices=False)
        a, b, errors[place] = _cut(u, s, vh, rank)
        factors[place] = (a.float(), b.float())
    return _as_lora(factors, errors)


def _as_lora(factors: Mapping[Place, tuple[Tensor, Tensor]], errors: dict[Place, float]) -> WeightedAdapter:
    """A plain LoRA with scaling 1, whatever the sources were."""
    from peft import LoraConfig

    rank = len(next(iter(factors.values()))[0])
    config: Any = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=rank,
        target_modules=[f"layers.{place.layer}.{place.name}" for place in factors],
    )
    config.fairmoe_kind = lora.KIND.name
    state: State = {}
    for place, (a, b) in factors.items():
        key = f"base_model.model.model.layers.{place.layer}.{place.name}"
        state |= {f"{key}.lora_A.weight": a.contiguous(), f"{key}.lora_B.weight": b.contiguous()}
    return WeightedAdapter(config, state, errors)

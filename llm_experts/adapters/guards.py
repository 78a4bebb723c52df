"""Where PEFT 0.21 computes something other than was asked for, without a word: refused, or computed right.

- ``adapter_names`` (one adapter per row) is honoured by LoRA alone. IA³, prompts and prefixes take no notice: every
  row, also one marked ``__base__``, gets the active adapter. DoRA raises. :func:`mixed_batch_forward` is right for all.
- ``add_weighted_adapter`` adds factors for ``linear``, ``ties`` and ``dare``: (Σ √w B)(Σ √w A) has cross terms B_i A_j.
  ``svd``, its default, cuts to the largest rank of its sources. For rsLoRA the new adapter is scaled by √r instead of
  1, DoRA's magnitudes and LoRA's biases are lost: even one adapter with weight 1 is not itself. For IA³ it returns
  Σ w l, so that weights of 0 silence keys and values instead of leaving the base. :func:`weighted_adapter` is right,
  and says how much a lower rank costs.
- Several active adapters: ``PeftModel.set_adapter(list)`` raises ``unhashable type``; of DoRA the second rescales what
  the first added. :func:`set_adapters` sums where PEFT sums, and refuses elsewhere.

Models of this project (:func:`llm_experts.adapters.registry.inject`) refuse PEFT's own ways into these (:func:`guard`).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import torch
from torch import Tensor, nn

from llm_experts.adapters import lora
from llm_experts.adapters.deltas import Delta, Place, adapter_deltas, matrix, place_of
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import (
    State,
    adapter_state,
    inject,
    kind_of,
    set_adapter_state,
)

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

BASE_ROW = "__base__"
ROW_WISE = ("lora", "rslora", "lora_fa", "svf")
"""Kinds whose layers honour ``adapter_names``, and whose active adapters add up."""


# -- one adapter per row ----------------------------------------------------------------------------------------------


def mixed_batch_forward(peft_model: PeftModel, batch: Mapping[str, Tensor], adapter_names: Sequence[str]) -> Tensor:
    """Logits [n, T, vocabulary] of a batch in which every row has its own adapter.

    Parameters
    ----------
    peft_model : PeftModel
        With adapters of any one kind.
    batch : mapping
        ``input_ids`` [n, T] and whatever else the model takes, all with a first dimension n.
    adapter_names : sequence of n str
        ``__base__`` is the base alone.

    Notes
    -----
    LoRA, rsLoRA, LoRA-FA and SVF run as one batch; other kinds run the rows of each adapter on their own, the model's
    active adapter and what requires gradients stay as they are.

    Raises
    ------
    AdapterError
        If a name is unknown or their number is not the batch's.
    """
    names, rows = list(adapter_names), len(batch["input_ids"])
    if len(names) != rows:
        raise AdapterError(f"The batch has {rows} rows, but {len(names)} adapters are named; name one for every row.")
    _check_names(peft_model, set(names) - {BASE_ROW})
    model: Any = peft_model
    kinds = {kind_of(model.peft_config[name]).name for name in set(names) - {BASE_ROW}}
    if kinds and kinds <= set(ROW_WISE):
        return model(**batch, adapter_names=names).logits  # type: ignore[no-any-return]
    return _by_adapter(model, batch, names)


def _by_adapter(model: Any, batch: Mapping[str, Tensor], names: list[str]) -> Tensor:
    """The rows of each adapter on their own; the last T tokens, as virtual tokens stand ahead of a text."""
    length = batch["input_ids"].shape[1]
    parts, places = [], []
    with _kept(model):
        for name in dict.fromkeys(names):
            rows = [row for row, named in enumerate(names) if named == name]
            if name != BASE_ROW:
                model.set_adapter(name)
            with model.disable_adapter() if name == BASE_ROW else contextlib.nullcontext():
                parts.append(model(**{key: value[rows] for key, value in batch.items()}).logits[:, -length:])
            places += rows
    return torch.cat(parts)[torch.tensor(places).argsort()]


@contextmanager
def _kept(model: Any) -> Iterator[None]:
    """Afterwards the active adapter and what requires gradients are as before: PEFT's ``set_adapter`` changes both."""
    active, trains = model.active_adapter, {name: p.requires_grad for name, p in model.named_parameters()}
    try:
        yield
    finally:
        if isinstance(active, str):
            model.set_adapter(active)
        else:
            model.base_model.set_adapter(active)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(trains[name])


def _check_names(model: Any, names: set[str]) -> None:
    unknown = sorted(names - set(model.peft_config))
    if unknown:
        raise AdapterError(f"There is no adapter {unknown[0]!r}; there are {', '.join(sorted(model.peft_config))}.")


# -- several adapters as one ------------------------------------------------------------------------------------------


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
    _check_names(peft_model, set(names))
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
    factors = {place: _stacked(deltas, weights, place) for place in sorted({p for found in deltas for p in found})}
    return _exact(factors) if kind == "exact" else _recompressed(factors, target)


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
            "weight 1. Use a StackedAdapterBank, which is exact, or kind='recompress', which reports its error."
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
        parts = [(w, found[place_of(key)]) for w, found in zip(weights, deltas, strict=True)]
        total = torch.ones(value.numel(), dtype=value.dtype, device=value.device)
        for weight, delta in parts:
            learnt = delta.gain if delta.gain is not None else delta.input_gain
            assert learnt is not None
            total += weight * learnt
        state[key] = total.view(value.shape)
    return WeightedAdapter(copy.deepcopy(config), state, dict.fromkeys(deltas[0], 0.0))


def _stacked(deltas: Sequence[Mapping[Place, Delta]], weights: Sequence[float], place: Place) -> tuple[Tensor, Tensor]:
    """Factors [R, in] and [out, R] of the sum, scalings and weights in the second."""
    a, b = [], []
    for weight, found in zip(weights, deltas, strict=True):
        delta = found.get(place)
        if delta is not None and delta.a is not None and delta.b is not None:
            a.append(delta.a)
            b.append(weight * delta.scaling * delta.b)
    return torch.cat(a), torch.cat(b, 1)


def _exact(factors: Mapping[Place, tuple[Tensor, Tensor]]) -> WeightedAdapter:
    """All factors side by side; places of fewer adapters are filled with zeros, as PEFT has one rank."""
    rank = max(len(a) for a, _ in factors.values())
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
    from llm_experts.adapters.svf import dense_weight

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


# -- active adapters, and PEFT's own ways in ---------------------------------------------------------------------------


def set_adapters(peft_model: PeftModel, names: Sequence[str]) -> None:
    """Make several adapters active at once: what they add is summed.

    Raises
    ------
    AdapterError
        For kinds of which PEFT does not sum several active ones.
    """
    _check_names(peft_model, set(names))
    model: Any = peft_model
    wrong = {kind_of(model.peft_config[name]).name for name in names} - set(ROW_WISE)
    if wrong and len(names) > 1:
        raise AdapterError(
            f"Several active adapters of kind {sorted(wrong)[0]} do not add up in PEFT: of DoRA the second rescales "
            "what the first added, of IA³ gains are multiplied, and of prompts only one is used. Use a "
            "StackedAdapterBank for a weighted sum, or make one active."
        )
    if len(names) == 1:
        model.set_adapter(names[0])
    else:
        model.base_model.set_adapter(list(names))  # PeftModel.set_adapter takes one name


def refuse_add_weighted_adapter(*_args: Any, **_kwargs: Any) -> NoReturn:
    """What stands in the place of PEFT's method on the models of this project."""
    raise AdapterError(
        "PEFT's add_weighted_adapter does not compute a weighted sum: linear, ties and dare multiply sums of factors, "
        "which adds the cross terms of different adapters; svd cuts to the largest rank of the sources; and the "
        "scaling of rsLoRA, the magnitudes of DoRA and biases are lost even for one adapter with weight 1. Call "
        "llm_experts.adapters.guards.weighted_adapter(model, names, weights), with kind='exact' or 'recompress'."
    )


def _refuse_ignored_names(module: nn.Module, _args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Hook of PEFT models: ``adapter_names`` that would be ignored are an error."""
    names = kwargs.get("adapter_names")
    if names is None:
        return
    configs: Any = module.peft_config
    used = [name for name in names if name in configs] or list(configs)
    ignored = {kind_of(configs[name]).name for name in used} - set(ROW_WISE)
    if ignored:
        raise AdapterError(
            f"PEFT takes no notice of adapter_names for adapters of kind {sorted(ignored)[0]}: every row, also one "
            f"marked {BASE_ROW}, would get the active adapter (for DoRA it raises). Call "
            "llm_experts.adapters.guards.mixed_batch_forward(model, batch, adapter_names)."
        )


def guard(peft_model: PeftModel) -> PeftModel:
    """Make a PEFT model refuse what it would get wrong; a second call does nothing.

    The hook and the method are plain functions: copies of the model refuse as well.
    """
    model: Any = peft_model
    if _refuse_ignored_names not in model._forward_pre_hooks.values():
        model.register_forward_pre_hook(_refuse_ignored_names, with_kwargs=True)
        model.add_weighted_adapter = refuse_add_weighted_adapter
    return peft_model

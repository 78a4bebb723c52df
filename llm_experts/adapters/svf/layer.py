"""A linear module whose singular values are scaled by the adapters that are active."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf.config import SVFConfig
from llm_experts.adapters.svf.decomposition import kept_hash, spectrum_of
from llm_experts.adapters.svf.multipliers import mixed_offsets, offsets
from llm_experts.adapters.svf.weights import dense_weight, is_quantised, linear_of, settle

_FACTORS: WeakValueDictionary[tuple[Any, ...], Tensor] = WeakValueDictionary()
"""U, σ and V that some layer holds, by the content of the weight: injections into copies of a base share them."""


class Mixture(NamedTuple):
    """Adapters and their weights, [K] or [rows, K]."""

    names: tuple[str, ...]
    alpha: Tensor


class Settings(NamedTuple):
    """What an adapter's configuration says to a layer."""

    forward: str
    renormalise: bool


class Materialised(NamedTuple):
    """W' and the offsets of the multipliers that it was built for."""

    offsets: Tensor
    weight: Tensor

    def is_for(self, d: Tensor) -> bool:
        """Whether these are the multipliers; compared by value, as no version counter shows every change."""
        return self.offsets.shape == d.shape and torch.equal(self.offsets, d)


class SVFLinear(nn.Module, BaseTunerLayer):
    """y = base(x) + ((x V) ⊙ σ ⊙ (z − 1)) Uᵀ, or x W'ᵀ + b with W' = W + U diag(σ ⊙ (z − 1)) Vᵀ.

    The first form runs a quantised base with its own kernel; at z = 1 it is the base, bit for bit. Several active
    adapters add their z − 1, as PEFT's additive methods do; within :func:`svf_mixture` they are weighted. The gradient
    is ∂L/∂z_i = σ_i u_iᵀ (∂L/∂W) v_i.

    Parameters
    ----------
    base_layer : nn.Module
        What :func:`dense_weight` knows.
    adapter_name : str
    config : SVFConfig

    Attributes
    ----------
    svf_p : nn.ParameterDict
        [r] float32 per adapter.
    svf_u, svf_s, svf_v : [out, R], [k], [in, R]
        The decomposition, in no state dict; R is the largest rank of the adapters, singular values are complete.
    weight_hash : str
        Of the weight that was decomposed.
    mixture : Mixture or None
        Set by :func:`svf_mixture`.
    """

    adapter_layer_names = ("svf_p",)
    svf_u: Tensor
    svf_s: Tensor
    svf_v: Tensor

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: SVFConfig) -> None:
        super().__init__()
        settle(base_layer)
        weight = dense_weight(base_layer)
        self.base_layer = base_layer
        self.out_features, self.in_features = weight.shape
        self.svf_p = nn.ParameterDict()
        self.settings: dict[str, Settings] = {}
        stored: Any = base_layer.weight
        self.weight_hash = kept_hash(stored, weight)
        self.mixture: Mixture | None = None
        self._replaced: list[nn.Module] = []  # the base layer, while a merged one stands in its place
        self._kept: Materialised | None = None
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: SVFConfig) -> None:
        """Add an adapter at the identity."""
        k = min(self.out_features, self.in_features)
        rank = k if config.rank is None else min(config.rank, k)
        self._decompose(rank)
        self.svf_p[adapter_name] = nn.Parameter(torch.zeros(rank, device=self.svf_s.device))
        self.settings[adapter_name] = Settings(config.forward, config.renormalise)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def _decompose(self, rank: int) -> None:
        """Have at least ``rank`` singular vectors, in the weight's dtype; singular values are float32."""
        if "svf_u" in self._buffers and self.svf_u.shape[1] >= rank:
            return
        weight = dense_weight(self.unmerged_layer)
        factors = _shared_factors(weight, self.weight_hash, rank)
        for name, factor in zip(("svf_u", "svf_s", "svf_v"), factors, strict=True):
            self.register_buffer(name, factor, persistent=False)

    @property
    def unmerged_layer(self) -> nn.Module:
        """The base's own module."""
        return self._replaced[0] if self._replaced else self.base_layer

    def offsets(self, name: str) -> Tensor:
        """[r] effective multipliers of an adapter minus one."""
        p = self.svf_p[name]
        return offsets(p, self.svf_s[: p.shape[-1]], self.settings[name].renormalise)

    def combined(self, names: Sequence[str], alpha: Tensor | None = None) -> Tensor | None:
        """[r] or [rows, r] offsets of several adapters, weighted by alpha or added; None if none of them is here."""
        here = [index for index, name in enumerate(names) if name in self.svf_p]
        if not here:
            return None
        each = [self.offsets(names[index]) for index in here]
        if alpha is None and len(each) == 1:
            return each[0]
        rank = max(d.shape[-1] for d in each)
        stacked = torch.stack([pad(d, (0, rank - d.shape[-1])) for d in each])
        weights = stacked.new_ones(len(each)) if alpha is None else alpha[..., here].to(stacked)
        return mixed_offsets(stacked, weights)

    def delta(self, d: Tensor) -> Tensor:
        """[out, in] U diag(σ ⊙ d) Vᵀ, at least float32."""
        r, gains = d.shape[-1], self.svf_s[: d.shape[-1]] * d
        dtype = torch.promote_types(torch.promote_types(gains.dtype, self.svf_u.dtype), torch.float32)
        u, v = self.svf_u[:, :r].to(dtype), self.svf_v[:, :r].to(dtype)
        return (u * gains.to(dtype)) @ v.T

    def changed_weight(self, d: Tensor) -> Tensor:
        """[out, in] W + U diag(σ ⊙ d) Vᵀ in the dtype of the (dequantised) weight."""
        weight = dense_weight(self.unmerged_layer)
        return (weight + self.delta(d)).to(weight.dtype)

    def get_delta_weight(self, adapter: str) -> Tensor:
        """[out, in] what one adapter adds to the weight."""
        return self.delta(self.offsets(adapter))

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., out] of [..., in]; with a mixture per row the first dimension is the rows."""
        if self.disable_adapters and self.merged:
            self.unmerge()
        d = None if self.disable_adapters or self.merged else self._wanted()
        if d is None:
            return self.base_layer(x, *args, **kwargs)  # type: ignore[no-any-return]
        weight = self._materialised(d)
        if weight is not None:
            bias: Any = self.base_layer.bias
            return linear(x.to(weight.dtype), weight, None if bias is None else bias.to(weight.dtype)).to(x.dtype)
        result: Tensor = self.base_layer(x, *args, **kwargs)
        return result + self._correction(x, d).to(result.dtype)

    def _wanted(self) -> Tensor | None:
        if self.mixture is not None:
            return self.combined(self.mixture.names, self.mixture.alpha)
        return self.combined(self.active_adapters)

    def _correction(self, x: Tensor, d: Tensor) -> Tensor:
        r = d.shape[-1]
        gains = (self.svf_s[:r] * d).to(self.svf_v.dtype)
        if gains.ndim == 2:
            if len(gains) != len(x):
                raise AdapterError(
                    f"The mixture has {len(gains)} rows and the batch has {len(x)}; give alpha one row per text."
                )
            gains = gains.reshape(len(x), *[1] * (x.ndim - 2), r)
        return ((x.to(self.svf_v.dtype) @ self.svf_v[:, :r]) * gains) @ self.svf_u[:, :r].T

    def _materialised(self, d: Tensor) -> Tensor | None:
        """[out, in] W' if this pass is to use it, None for the factored form."""
        forward = self._forward()
        if forward == "factored" or d.ndim > 1 or torch._C._functorch.is_functorch_wrapped_tensor(d):
            return None
        learning = torch.is_grad_enabled() and d.requires_grad
        if forward == "auto" and (learning or not self._worth_building(d.shape[-1])):
            return None
        if learning:
            return self.changed_weight(d)
        if self._kept is None or not self._kept.is_for(d):
            with torch.no_grad():
                self._kept = Materialised(d.detach().clone(), self.changed_weight(d))
        return self._kept.weight

    def _worth_building(self, rank: int) -> bool:
        """Whether the factored form costs a token more than a quarter of the base's pass, and W' no extra precision."""
        if is_quantised(self.base_layer):
            return False
        return 4 * rank * (self.out_features + self.in_features) > self.out_features * self.in_features

    def _forward(self) -> str:
        """The active adapters' way; factored if they disagree."""
        names = self.active_adapters if self.mixture is None else self.mixture.names
        asked = {self.settings[name].forward for name in names if name in self.settings}
        return asked.pop() if len(asked) == 1 else "factored"

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Put a module with W' in the base's place, beside those merged already; the base's own is kept untouched.

        A quantised base becomes a floating module: its grid is too coarse for what SVF changes.
        """
        if self.mixture is not None:
            raise AdapterError("Adapters cannot be merged inside svf_mixture, which merges nothing; leave it first.")
        names = [name for name in check_adapters_to_merge(self, adapter_names) if name in self.svf_p]
        if not names:
            return
        everyone = [*self.merged_adapters, *names]
        d = self.combined(everyone)
        assert d is not None  # every name is here
        with torch.no_grad():
            weight = self.changed_weight(d)
        if safe_merge and not bool(torch.isfinite(weight).all()):
            raise ValueError(f"The merged weights are not finite: adapter {', '.join(names)} seems to be broken.")
        base: Any = self.unmerged_layer
        self._replaced = [base]
        self.base_layer = linear_of(weight, base.bias)
        self.merged_adapters = everyone

    def unmerge(self) -> None:
        """Put the base's own module back."""
        if self._replaced:
            self.base_layer = self._replaced.pop()
        self.merged_adapters = []

    def delete_adapter(self, adapter_name: str) -> None:
        """Forget an adapter; see PEFT."""
        super().delete_adapter(adapter_name)
        self.settings.pop(adapter_name, None)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:  # noqa: ARG002 - PEFT's signature
        """PEFT may turn what an adapter adds to W into a LoRA."""
        return not hasattr(self.unmerged_layer, "nf")  # a Conv1D, whose weight is transposed

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        """PEFT casts adapters to the base's dtype; p stays float32."""
        if adapter_name in self.svf_p and self.svf_p[adapter_name].device.type != "meta":
            target = self.svf_s.device if device is None else device
            self.svf_p[adapter_name] = self.svf_p[adapter_name].to(target, torch.float32)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SVFLinear:
        """Moves also what stands aside while merged, and forgets the materialised weight."""
        self._kept = None
        for module in self._replaced:
            module._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __repr__(self) -> str:
        return "svf." + super().__repr__()


def _shared_factors(weight: Tensor, digest: str, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """U [out, rank] and V [in, rank] in the weight's dtype with σ [k] between them; nobody writes into them."""
    keys = [(part, digest, rank, weight.dtype, weight.device) for part in "usv"]
    u, s, v = (_FACTORS.get(key) for key in keys)
    if u is not None and s is not None and v is not None:
        return u, s, v
    whole = spectrum_of(weight, digest)
    first, last = (part[:, :rank].to(weight.dtype).contiguous() for part in (whole.u, whole.v))
    _FACTORS.update(zip(keys, (first, whole.s, last), strict=True))
    return first, whole.s, last

"""Configuration of SVF as a method of PEFT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from peft import PeftConfig
from peft.utils import PeftType

from llm_experts.adapters.error import AdapterError

FORWARDS = ("auto", "factored", "materialised")


def peft_type(name: str) -> PeftType:
    """The member of PEFT's list of methods; added if PEFT does not have it.

    PEFT registers methods by members of an enumeration, which has no public way to grow.
    """
    if name not in PeftType.__members__:
        member: Any = str.__new__(PeftType, name)
        member._name_ = member._value_ = name
        member._sort_order_ = len(PeftType)
        setattr(PeftType, name, member)
        PeftType._member_names_.append(name)
        PeftType._member_map_[name] = member
        PeftType._value2member_map_[name] = member
    return PeftType(name)


SVF = peft_type("SVF")


@dataclass
class SVFConfig(PeftConfig):
    """Singular-value fine-tuning (Transformer², Sun et al., arXiv 2501.06252): W' = U diag(σ ⊙ z) Vᵀ, z = exp(p).

    Attributes
    ----------
    target_modules : list of str, str or None
        As in PEFT: names, a regular expression, or ``all-linear``; None takes the attention's and the MLP's matrices of
        the Llama, Mistral and Qwen families.
    exclude_modules : list of str, str or None
    layers_to_transform, layers_pattern :
        As in PEFT: decoder layers that are adapted.
    rank : int or None
        How many singular values are tuned, the largest first; the others keep their value. None is all of them, and so
        is a rank above a matrix's own.
    forward : str
        ``factored``: base(x) + ((x V) ⊙ σ ⊙ (z − 1)) Uᵀ. ``materialised``: W' is built and kept until z changes; while
        z learns it is built in every pass. ``auto``: factored while z learns, where the rank is so small that W' saves
        nothing, and on quantised weights (W' is a floating one, as large as the unquantised); else materialised. It
        never depends on earlier passes. Mixtures per row, and lanes under ``vmap``, are always factored.
    renormalise : bool
        Keep Σσ what it was, z ← z · Σσ / Σ(σ z), over the tuned singular values.
    modules_to_save : list of str or None
        As in PEFT.
    spectrum_hash : str or None
        sha256 of the adapted weights, which fix U, σ and V. PEFT's files carry it, an adapter is refused on other
        weights. Filled in when an adapter is made; a configuration that was filled in so can be used for another base,
        one that was read from a file cannot. (Not a hash of σ itself: its last digits differ between machines.)

    Raises
    ------
    AdapterError
        On values that contradict each other.
    """

    target_modules: list[str] | set[str] | str | None = field(default=None)
    exclude_modules: list[str] | set[str] | str | None = field(default=None)
    layers_to_transform: list[int] | int | None = field(default=None)
    layers_pattern: list[str] | str | None = field(default=None)
    rank: int | None = field(default=None)
    forward: str = field(default="auto")
    renormalise: bool = field(default=False)
    modules_to_save: list[str] | None = field(default=None)
    spectrum_hash: str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.peft_type = SVF
        self.binding = self.spectrum_hash is not None  # no field: PEFT's file format has it once
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        if self.rank is not None and self.rank < 1:
            raise AdapterError(f"SVF cannot tune {self.rank} singular values: rank starts at 1, None is all of them.")
        if self.forward not in FORWARDS:
            raise AdapterError(f"SVF has no forward {self.forward!r}; choose one of {', '.join(FORWARDS)}.")
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise AdapterError(
                f"PEFT ignores layers_to_transform when target_modules is the string {self.target_modules!r}; name the "
                "modules in a list, or write the layers into the regular expression."
            )
        if self.layers_pattern and self.layers_to_transform is None:
            raise AdapterError("layers_pattern says how layers are called that layers_to_transform names; give both.")

    def bind(self, spectrum_hash: str) -> None:
        """Note which weights an adapter was made for, without refusing others."""
        if not self.binding:
            self.spectrum_hash = spectrum_hash

    def to_dict(self) -> dict[str, Any]:
        """Fields for PEFT's file, sets sorted so that equal configurations are equal bytes."""
        fields: dict[str, Any] = super().to_dict()
        return {name: sorted(value) if isinstance(value, set) else value for name, value in fields.items()}

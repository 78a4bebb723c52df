"""How positions beyond those that a base was trained on are told: kind and factor of a rotary scaling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_experts.bases.error import BaseError

KINDS = ("linear", "dynamic", "yarn")
LARGEST = 128.0


@dataclass(frozen=True)
class RopeScaling:
    """A scaling of rotary position embeddings.

    Attributes
    ----------
    kind : {"linear", "dynamic", "yarn"}
        linear: positions are divided by the factor (Chen et al., 2023). dynamic: the frequencies' base grows with the
        text once it is longer than the base's own context, "dynamic NTK"; shorter texts are as without. yarn: slow
        frequencies are divided, fast ones stay, and attention is sharpened (Peng et al., 2023).
    factor : float
        The context becomes as many times longer; above 1.
    """

    kind: str
    factor: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BaseError(f"There is no rope scaling {self.kind!r}; choose one of {', '.join(KINDS)}.")
        if not (math.isfinite(self.factor) and 1 < self.factor <= LARGEST):
            raise BaseError(f"The factor of a rope scaling is {self.factor:g}; give one above 1, at most {LARGEST:g}.")

    @classmethod
    def of(cls, given: str | Mapping[str, Any] | RopeScaling | None) -> RopeScaling | None:
        """A scaling from ``yarn:4``, or from ``rope_type`` and ``factor`` as configurations and manifests have them.

        Raises
        ------
        BaseError
            If it is none of these, or has settings beside the two.
        """
        if given is None or isinstance(given, RopeScaling):
            return given
        if isinstance(given, str):
            kind, _, factor = given.partition(":")
            if kind in ("", "none", "default"):
                return None
            return cls(kind, _number(factor, given))
        kind = str(given.get("rope_type", given.get("type", "default")))
        if kind == "default":
            return None
        others = sorted(
            given.keys() - {"rope_type", "type", "factor", "rope_theta", "original_max_position_embeddings"}
        )
        if others:
            raise BaseError(f"A rope scaling has a kind and a factor; {', '.join(others)} cannot be set.")
        return cls(kind, _number(given.get("factor"), given))

    def __str__(self) -> str:
        return f"{self.kind}:{self.factor:g}"


def _number(value: object, given: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BaseError(f"{given!r} is no rope scaling; write its kind and factor, such as yarn:4.") from None

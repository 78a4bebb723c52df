"""What making items may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llm_experts.data.error import DataError


@dataclass(frozen=True)
class Budget:
    """Bounds of one set of items.

    Attributes
    ----------
    dollars : float or None
        Most that the set may cost, what earlier runs paid for it included; None: no bound.
    minutes : float or None
        Most minutes of this run; what is made by then is kept, and another run goes on from there.
    """

    dollars: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("dollars", self.dollars), ("minutes", self.minutes)):
            if value is not None and not 0 <= value < math.inf:
                raise DataError(
                    f"A budget of {value} {name} is none; give a number of at least 0, or leave it out for no bound."
                )

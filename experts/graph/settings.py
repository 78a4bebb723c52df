"""Which graph network an expert is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["gcn", "gin", "sage"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class GraphSettings:
    """Kind and depth of a graph network.

    Attributes
    ----------
    kind : {"gcn", "gin", "sage"}
        How neighbours are summed up, see :func:`experts.graph.propagation.operators`.
    layers : {1, 2}
        One: a row sees its neighbours. Two: it sees its neighbours' hidden layer too.

    Raises
    ------
    ValueError
        If there is no such kind or depth.
    """

    kind: Kind
    layers: int = 1

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        if self.kind not in KINDS or self.layers not in (1, 2):
            raise ValueError(
                f"There is no graph expert {self.kind!r} with {self.layers!r} layers; kinds are {', '.join(KINDS)}, "
                "layers 1 or 2."
            )

    @property
    def name(self) -> str:
        """The kind, with the number of layers where it is not one: ``gcn``, ``gcn2``."""
        return self.kind if self.layers == 1 else f"{self.kind}{self.layers}"

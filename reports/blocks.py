"""Questions about pairs of methods: what a mixture, and what each fairness loss, achieves.

Which pairs answer a question stands in the records of the methods (``MethodRow.compared``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reports.methods import MethodRow
from reports.names import KINDS
from reports.table import ReportError

Pair = tuple[str, str]
"""(method, reference): the difference told is the first minus the second."""


@dataclass(frozen=True, slots=True)
class Block:
    """Comparisons that answer one question; Holm's correction runs within a block.

    Attributes
    ----------
    id, title : str
    reads : str
        A key of ``reports.names.READS``: what the filter hides it with.
    spoken : bool
        Whether sentences tell what its mixture achieves.
    pairs : tuple of (str, str)
    mixture : str
        The method that the sentences speak of; "" for none.
    """

    id: str
    title: str
    reads: str
    spoken: bool = True
    pairs: tuple[Pair, ...] = ()
    mixture: str = ""


BLOCKS = (
    Block("tabular", "Tabular experts and their mixture", "tabular"),
    Block("baselines", "The mixture against what one would pick instead", "tabular", spoken=False),
    Block("graph", "Graph experts and mixtures with them", "graph"),
    Block("text", "Text experts: what training and each objective do", "text"),
    Block("text-mixtures", "Mixtures of text experts", "text"),
    Block("both", "Both families together", "both"),
)
"""The questions in the order of the page, without their pairs."""


def blocks_of(rows: Mapping[str, MethodRow]) -> tuple[Block, ...]:
    """All questions with the pairs that the records name: mixtures first, else in the order of the records.

    Raises
    ------
    ReportError
        If a record names a question that pages do not have.
    """
    known = [block.id for block in BLOCKS]
    for row in rows.values():
        for block, other in row.compared:
            if block not in known:
                raise ReportError(
                    f"The record of {row.id} compares it with {other} in the block {block!r}, which pages do not have. "
                    f"Use one of {', '.join(known)}."
                )
    kinds = list(KINDS)
    ordered = sorted(rows.values(), key=lambda row: kinds.index(row.kind))
    return tuple(_with_pairs(block, ordered, rows) for block in BLOCKS)


def _with_pairs(block: Block, ordered: list[MethodRow], rows: Mapping[str, MethodRow]) -> Block:
    pairs = tuple((row.id, other) for row in ordered for name, other in row.compared if name == block.id)
    first = rows[pairs[0][0]] if pairs else None
    spoken = block.spoken and first is not None and first.kind == "gate"
    return replace(block, pairs=pairs, mixture=first.id if spoken and first is not None else "")

"""Attributions of any model to source columns by occlusion: what the margin loses when one column is unknown.

For models that are dear to ask and read every column in context (language models): one question per column, and the
questions are those that fidelity metrics ask anyway. Unlike Shapley values and integrated gradients, a row does not sum
to margin(all kept) - margin(none kept): what several columns say together is counted for each of them, or for none.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_CALL = 1 << 14  # rows per call of the model


def occlusion_columns(
    margin: Callable[[Tensor, Tensor], Tensor], rows: int, columns: int, *, call: int = _CALL
) -> Tensor:
    """Change of the margin when one column becomes unknown (Zeiler and Fergus, 2014; Covert et al., JMLR 2021, §4).

    Parameters
    ----------
    margin : callable (picked [m] int64, keep [m, columns] bool) -> [m] float
        Logit margins of class 1 of the rows ``picked`` (positions 0..rows-1, repeated) with the columns not kept
        unknown.
    rows, columns : int
    call : int
        Most rows of one call.

    Returns
    -------
    [rows, columns] float64, signed: margin - margin with the column unknown. Cost: columns + 1 evaluations per row.
    """
    if rows < 1 or columns < 1 or call < 1:
        raise ValueError(f"rows, columns and call are {rows}, {columns} and {call}; each must be at least 1")
    values = torch.empty(rows * (columns + 1), dtype=torch.float64)
    for flat in torch.split(torch.arange(len(values)), call):
        values[flat] = margin(*_question(flat, columns)).detach().to(torch.float64)
    table = values.view(rows, columns + 1)
    return table[:, :1] - table[:, 1:]


def _question(flat: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """Row [m] and kept columns [m, columns] of each evaluation; a row's first one keeps all, number j masks j - 1."""
    picked, masked = flat // (columns + 1), flat % (columns + 1) - 1
    return picked, masked[:, None] != torch.arange(columns)

"""The methods of a run, as pages need them: a small table that the run writes from the records of its methods.

Reports import no model and know no method by heart: an own method or a new baseline is shown by its own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from foundation.files import write_json

FILE = "methods.json"
"""Its name in the output folder."""


@dataclass(frozen=True, slots=True)
class MethodRow:
    """What a page must know of a method.

    Attributes
    ----------
    id : str
        Name in tables.
    label, about, reference : str
        Words for people: a short name, one line without a full stop, where the method comes from.
    kind : str
        A key of :data:`reports.names.KINDS`: gate, static, expert, twin, baseline, own. Gives the marker.
    family : str
        What the model is: "mlp", "gbdt", "gcn", "llm", …
    reads : str
        A key of :data:`reports.names.READS`: tabular, graph, text, both.
    colour : str
        A key of :data:`reports.names.PALETTE`.
    explainer : str
        How its reasons are found: shown beside every procedural score.
    sensitive_at_prediction : bool
        Whether it must know the group of a row in order to decide about it.
    scores_decisions : bool
        Whether its scores only encode decisions, such as votes: their AUC, a third of utility, is not comparable.
    secondary : bool
        Whether it is there to explain others, so that long tables fold it.
    landmark : bool
        Whether diagrams that show the best few show it wherever it stands.
    untrained : bool
        Whether nothing of it was trained on the task: a base model as it is. Figures do not stretch their axes to it.
    code : str
        One to three letters for it as a member in the gate panel; "" for a method that is no member.
    compared : tuple of (str, str)
        (block of :data:`reports.blocks.BLOCKS`, other method): differences that are told, this one minus the other.
    levels : tuple of (str, str)
        (side, variant): where it stands in the comparison at fairness levels; the side is "mixture", "rival" or
        "reference", the variant one of the table ``levels``.
    ablation : tuple of (int, str, str)
        (order, variant, label): steps of the ablation table that the method stands for.
    """

    id: str
    label: str
    about: str = ""
    kind: str = "baseline"
    family: str = ""
    reads: str = "tabular"
    colour: str = "ink"
    explainer: str = ""
    sensitive_at_prediction: bool = False
    scores_decisions: bool = False
    secondary: bool = False
    landmark: bool = False
    untrained: bool = False
    code: str = ""
    reference: str = ""
    compared: tuple[tuple[str, str], ...] = ()
    levels: tuple[tuple[str, str], ...] = ()
    ablation: tuple[tuple[int, str, str], ...] = ()


def write_methods(rows: Iterable[MethodRow], folder: Path) -> None:
    """Write the table of a run's methods, and of the members that its mixtures name, in the order of the pages."""
    write_json(folder / FILE, [asdict(row) for row in rows])


def read_methods(folder: Path) -> dict[str, MethodRow]:
    """The table by method, in its order; empty for a run that was written before there was one."""
    path = folder / FILE
    if not path.exists():
        return {}
    return {row.id: row for row in map(_row, json.loads(path.read_text(encoding="utf-8")))}


def _row(facts: dict[str, Any]) -> MethodRow:
    known = {field.name for field in fields(MethodRow)}
    pairs: dict[str, Any] = {
        key: tuple(map(tuple, facts[key])) for key in ("compared", "levels", "ablation") if key in facts
    }
    return MethodRow(**{key: value for key, value in facts.items() if key in known} | pairs)

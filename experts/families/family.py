"""The contract of a family of experts.

A family is a file in this folder, or in ``experts/families/`` of a plug-in folder, that defines ``FAMILY``. What is
literal in it is read without an import; ``tuner`` and ``load`` import what they need when they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experts.expert import Expert
    from experts.tuning.tuner import Tuner


@dataclass(frozen=True)
class Family:
    """A family of experts; its name is that of its file.

    Attributes
    ----------
    label : str
        For people.
    code : str
        Before a member's letter in the gate panel; "" for the tabular networks.
    needs_edges : bool
        Whether tasks are loaded with their graph.
    explainer : str
        How its attributions are made.
    tuner : callable
        () → :class:`experts.tuning.tuner.Tuner`: how its experts come about.
    load : callable
        From a folder that an expert was saved to, to the expert.
    """

    label: str
    code: str
    needs_edges: bool
    explainer: str
    tuner: Callable[[], Tuner[Any]]
    load: Callable[[Path], Expert] | None = None

"""A unit: a stage of a job that can run on a machine of its own, and what it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.methods.method import MODEST, Needs, Network

Kind = Literal["tune", "summary", "bag", "cells"]


@dataclass(frozen=True)
class Unit:
    """A stage of a job.

    Attributes
    ----------
    kind : str
        ``tune``: the study of a network; ``summary``: the record of three roles; ``bag``: a network's members on
        folds; ``cells``: methods, fitted and scored.
    name : str
        Of its own within its job, fit for a file.
    after : tuple of str
        Names of the units that must have ended before, whatever became of them.
    network : (role, family), optional
        What is tuned or bagged.
    repeat : int
        Of a bag.
    cells : tuple of (method, repetition)
        What is fitted and scored.
    resources : Needs
        What a machine must have free.
    """

    kind: Kind
    name: str
    after: tuple[str, ...] = ()
    network: Network | None = None
    repeat: int = 0
    cells: tuple[tuple[str, int], ...] = ()
    resources: Needs = MODEST

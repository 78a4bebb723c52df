"""Which experts answer a request, and why: those that it names, or those that are chosen."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.catalogue import Catalogue, Entry
from serving.error import ServingError
from serving.request import Request

if TYPE_CHECKING:
    from serving.router import Route

SHOWN = 12
"""Names that an error lists."""


@dataclass(frozen=True)
class Choice:
    """Experts of a request.

    Attributes
    ----------
    entries : tuple of Entry
    weights : tuple of float
    why : str
    route : Route or None
    """

    entries: tuple[Entry, ...]
    weights: tuple[float, ...]
    why: str
    route: Route | None = None

    @property
    def experts(self) -> tuple[tuple[str, float], ...]:
        """Names and weights."""
        return tuple((entry.name, weight) for entry, weight in zip(self.entries, self.weights, strict=True))


class Names:
    """Names of experts, looked up in the catalogue as it is now; remembers which ones there were.

    Parameters
    ----------
    catalogue : callable
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue, self._lock = catalogue, threading.Lock()
        self._seen: set[str] = set()

    def now(self) -> Mapping[str, Entry]:
        """What can be asked now.

        Raises
        ------
        ServingError
            ``internal`` if what is installed cannot be read.
        """
        try:
            found = self._catalogue()
        except Exception as error:
            raise ServingError("internal", f"What is installed cannot be read: {error}") from error
        with self._lock:
            self._seen.update(found)
        return found

    def entry(self, name: str) -> Entry:
        """An expert by name.

        Raises
        ------
        ServingError
            ``expert-gone`` if there was one of this name, ``unknown-expert`` otherwise; as :meth:`now`.
        """
        found = self.now()
        if name in found and found[name].fault:
            raise ServingError("bad-request", found[name].fault)
        if name in found:
            return found[name]
        if name in self._seen:
            raise gone(name)
        there = ", ".join(sorted(found)[:SHOWN]) or "none"
        raise ServingError("unknown-expert", f"There is no expert {name!r}; there is {there}. Install it first.")


def gone(name: str) -> ServingError:
    """Why an expert that was there is not asked."""
    return ServingError("expert-gone", f"Expert {name!r} was uninstalled; install it again, or ask another.")


def named(request: Request, names: Names) -> Choice | None:
    """The experts that a request names; None if they are to be chosen.

    Raises
    ------
    ServingError
        ``unknown-expert``, ``expert-gone``, ``bad-request``, ``undefined-composition``.
    """
    if isinstance(request.experts, str):
        return None
    asked = request.experts or {}
    for name, weight in asked.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
            raise ServingError("bad-request", f"The weight of {name!r} is {weight!r}; give a finite number.")
    entries = tuple(names.entry(name) for name in asked)
    why = "the request names them" if entries else "the request asks for the base"
    choice = Choice(entries, tuple(float(weight) for weight in asked.values()), why)
    _check_kinds(request, choice)
    return choice


def _check_kinds(request: Request, choice: Choice) -> None:
    for entry in choice.entries:
        if not (entry.kind == "adapter" if request.rows is None else entry.answers_rows):
            said = "answers rows, not text: send rows" if entry.kind == "rows" else "answers text: send a prompt"
            raise ServingError("bad-request", f"{entry.name} {said}, or name another expert.")
    if request.rows is None:
        return
    if not choice.entries:
        raise ServingError("bad-request", "Rows need a row expert: name one; the base answers text alone.")
    if len(choice.entries) > 1 or choice.weights != (1.0,):
        raise ServingError(
            "undefined-composition",
            "Row experts are not composed per request: name one, without a weight. A mixture of several is an expert "
            "of its own, made by fairmoe bench and fairmoe choose.",
        )


def of_columns(request: Request, names: Names) -> Choice:
    """The one row expert whose columns the rows have.

    Raises
    ------
    ServingError
        ``bad-request`` if there are none, or several.
    """
    assert request.rows is not None
    there = {str(name) for name in request.rows.columns}
    rows = [entry for entry in names.now().values() if entry.answers_rows and not entry.fault]
    fit = [entry for entry in rows if entry.columns and there.issuperset(entry.columns)]
    if len(fit) == 1:
        return Choice((fit[0],), (1.0,), "the only row expert whose columns the rows have")
    listed = ", ".join(entry.name for entry in (fit or rows)[:SHOWN]) or "none is installed"
    said = f"{len(fit)} row experts read such rows" if fit else "No row expert finds its columns in these rows"
    raise ServingError("bad-request", f"{said} ({listed}); name the one that you mean.")

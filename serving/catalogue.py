"""What can be asked: the experts that are installed or named, as they are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from artefacts.format.manifest import Decoding

Kind = Literal["base", "auto", "adapter", "rows"]


@dataclass(frozen=True)
class Entry:
    """An expert that can be asked.

    Attributes
    ----------
    name : str
    kind : {"adapter", "rows"}
        Whether it changes what the base says, or predicts rows alone.
    description, version, trust : str
        As its package says, and what the user's keys say of it.
    content : str
        sha256 of its manifest; another one means another expert of the same name.
    source : Path or None
        Folder of its adapter; None if it is asked about rows alone.
    base : str
        sha256 of the base that an adapter stands on.
    order : int
        Load order of its package: virtual tokens stand in this order.
    columns : tuple of str
        Raw columns that a row expert needs.
    rows : bool
        Whether an adapter also answers rows: a text expert reads them as sentences.
    priority : float in [0, 1]
        By how much its package says that ``auto`` prefers it.
    decoding : Decoding, optional
        How its package says that its text is generated, where a request says nothing.
    fault : str
        Why it must not be asked, such as a damaged or a revoked package; empty for a sound one.
    """

    name: str
    kind: Literal["adapter", "rows"]
    description: str = ""
    version: str = ""
    content: str = ""
    trust: str = ""
    source: Path | None = None
    base: str = ""
    columns: tuple[str, ...] = ()
    order: int = 0
    rows: bool = False
    priority: float = 0.5
    decoding: Decoding | None = None
    fault: str = ""

    @property
    def answers_rows(self) -> bool:
        """Whether it can be asked about rows."""
        return self.rows or self.kind == "rows"


Catalogue = Callable[[], Mapping[str, Entry]]
"""Asked before each request, so that what was uninstalled meanwhile is noticed: it must answer at once."""


@dataclass(frozen=True)
class ExpertInfo:
    """One line of what an engine can be asked.

    Attributes
    ----------
    name : str
    kind : {"base", "auto", "adapter", "rows"}
    loaded : bool
        Whether it lies in memory now.
    pinned : bool
        Whether it stays there.
    description : str
    base : str
        Id of the base that it stands on; empty for rows.
    version, trust : str
    priority : float or None
        By how much ``auto`` prefers an adapter here, from 0 to 1; None of what it does not choose.
    """

    name: str
    kind: Kind
    loaded: bool = False
    pinned: bool = False
    description: str = ""
    base: str = ""
    version: str = ""
    trust: str = ""
    priority: float | None = None

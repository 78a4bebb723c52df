"""From a task's name to its card and sensitive attributes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from foundation.refusals import did_you_mean
from tasks.card import Card, CardError, load_card

CARDS = Path(__file__).resolve().parent.parent / "datasets"
"""Folder of the cards that come with fairmoe."""


_NAME = re.compile(r"(?P<base>.*\.toml|[^:@]*)(?::(?P<attributes>[^@]*))?(?:@(?P<cap>.*))?")
"""Card name or path, ``:`` and attributes, ``@`` and a row cap."""


class Resolved(NamedTuple):
    """What a task name stands for."""

    card: Card
    attributes: tuple[str, ...]


def names() -> list[str]:
    """Names of all cards that come with fairmoe, sorted."""
    return sorted(path.parent.name for path in CARDS.glob("*/card.toml"))


def cards() -> list[Card]:
    """All cards that come with fairmoe, sorted by name."""
    return [load_card(CARDS / name / "card.toml") for name in names()]


def resolve(name: str) -> Resolved:
    """Card and sensitive attributes that a task name stands for.

    Parameters
    ----------
    name : str
        ``german``, ``adult:sex``, ``adult:sex+race`` (intersections) or ``path/to/card.toml``, which takes
        ``:attribute`` too. Without attributes, the card's default. A row cap may follow (``adult:sex@1000``), see
        :func:`row_cap`.

    Raises
    ------
    CardError
        If there is no such card or attribute (the text lists what there is), or the row cap is no number of rows.
    """
    base, attributes, _ = _parts(name)
    card = load_card(Path(base)) if base.endswith(".toml") else _shipped(base)
    return Resolved(card, _attributes(card, attributes or card.default_sensitive))


def row_cap(name: str) -> int | None:
    """Most rows that a task of this name uses (1000 of ``adult:sex@1000``), None without a cap.

    Raises
    ------
    CardError
        If what follows the ``@`` is no whole number above 0.
    """
    return _parts(name)[2]


def attributes_named(name: str, card: Card) -> tuple[str, ...]:
    """Sensitive attributes of a task of this card by the name that it is filed under (:func:`task_name`)."""
    return _attributes(card, _parts(name)[1] or card.default_sensitive)


def task_name(name: str) -> str:
    """The name to file a task under: as asked, with the path of an own card replaced by the card's name."""
    base, attributes, cap = _parts(name)
    if base.endswith(".toml"):
        base = load_card(Path(base)).name
    return base + (f":{attributes}" if attributes else "") + ("" if cap is None else f"@{cap}")


def _parts(name: str) -> tuple[str, str, int | None]:
    """Card, attributes ("" for the default) and row cap."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise CardError(f"{name!r} is no task name; a name is a data set or card, :attributes and @rows.")
    cap = found["cap"]
    if cap is None:
        return found["base"], found["attributes"] or "", None
    if not re.fullmatch("[0-9]+", cap) or not int(cap):
        raise CardError(
            f"The row cap of {name!r} is {cap!r}; write a whole number above 0 behind the @, as in adult:sex@1000."
        )
    return found["base"], found["attributes"] or "", int(cap)


def _shipped(base: str) -> Card:
    path = CARDS / base / "card.toml"
    if base in names():
        return load_card(path)
    known = names()
    hint = did_you_mean(base, known, most=3, cutoff=0.5)
    raise CardError(
        f"There is no data set {base!r}. {hint}Known are {', '.join(known)} (see 'fairmoe data list'). "
        "For data of your own give the path of its card, path/to/card.toml; 'fairmoe data card my.csv' drafts one."
    )


def _attributes(card: Card, text: str) -> tuple[str, ...]:
    known = [sensitive.name for sensitive in card.sensitive]
    wanted = tuple(text.split("+"))
    for attribute in wanted:
        if attribute not in known:
            hint = did_you_mean(attribute, known, cutoff=0.4, told={one: f"{card.name}:{one}" for one in known})
            raise CardError(
                f"Data set {card.name!r} has no sensitive attribute {attribute!r}. {hint}It has {', '.join(known)}; "
                f"join several with '+' for their intersections. 'fairmoe data show {card.name}' describes them."
            )
    if len(set(wanted)) != len(wanted):
        raise CardError(f"A sensitive attribute is named twice in {card.name}:{text}; name each once.")
    return wanted

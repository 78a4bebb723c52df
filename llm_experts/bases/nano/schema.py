"""The words that synthetic populations are described in: the columns of the project's cards and a bank of others.

Of a card only its schema is read: names, units, the words of categories, the subject and the question. No row, no label
and no statistic of a real data set reaches the pretraining.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.card import Card, ColumnSpec

NUMERIC, CATEGORY = "numeric", "category"


@dataclass(frozen=True)
class Trait:
    """A column of synthetic rows: a number with a unit, or one of several words.

    Attributes
    ----------
    text : str
        Name, as in "the applicant's {text} is".
    unit : str
    values : tuple of str
        Words of the categories; empty for a number.
    """

    text: str
    unit: str = ""
    values: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``numeric`` or ``category``."""
        return CATEGORY if self.values else NUMERIC


@dataclass(frozen=True)
class Subject:
    """Whom rows are about, what is asked of them, and the columns that go together."""

    name: str
    questions: tuple[str, ...]
    traits: tuple[Trait, ...]


def schema_of(card: Card) -> Subject:
    """The words of a card."""
    return Subject(card.text.subject, (card.text.question,), tuple(map(_trait, card.column)))


def _trait(column: ColumnSpec) -> Trait:
    words = tuple(dict.fromkeys([*column.values.values(), *(b.name for b in column.bins)]))
    plain = [word for word in words if not word.isdigit()]
    if column.kind == "numeric" and len(plain) < 2:
        return Trait(column.text, column.unit)
    return Trait(column.text, "", tuple(plain) if len(plain) > 1 else ("no", "yes"))


def card_subjects() -> tuple[Subject, ...]:
    """The schemas of all cards that come with the project, sorted by card."""
    from tasks.registry import cards

    return tuple(schema_of(card) for card in cards())


def as_json(subjects: tuple[Subject, ...]) -> str:
    """Canonical text of schemas: what the identity of the model depends on."""
    data = [[s.name, s.questions, [[t.text, t.unit, t.values] for t in s.traits]] for s in subjects]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


FIVE = ("very low", "low", "medium", "high", "very high")
YES_NO = ("no", "yes")
WORDS: dict[str, tuple[str, ...]] = {
    "colour": ("red", "blue", "green", "yellow", "black", "white", "brown"),
    "favourite season": ("spring", "summer", "autumn", "winter"),
    "kind of home": ("flat", "house", "farm", "boat", "tent"),
    "kind of pet": ("none", "cat", "dog", "bird", "fish"),
    "means of transport": ("car", "bus", "train", "bicycle", "on foot"),
    "blood group": ("A", "B", "AB", "O"),
    "favourite subject": ("mathematics", "history", "music", "sports", "biology"),
    "region": ("north", "south", "east", "west"),
    "shift": ("day", "evening", "night"),
    "type of contract": ("permanent", "temporary", "none"),
    "insurance": ("none", "private", "public"),
    "diet": ("mixed", "vegetarian", "vegan"),
    "smoking": ("never", "in the past", "sometimes", "daily"),
    "language spoken at home": ("English", "German", "Spanish", "French", "another language"),
    "size of the town": ("village", "small town", "city", "large city"),
    "trust in others": FIVE,
    "interest in politics": FIVE,
    "satisfaction with life": FIVE,
    "level of stress": FIVE,
    "risk tolerance": FIVE,
    "fitness": ("poor", "fair", "good", "excellent"),
    "quality of sleep": ("poor", "fair", "good", "excellent"),
    "credit rating": ("poor", "fair", "good", "excellent"),
    "driving licence": YES_NO,
    "garden": YES_NO,
    "membership of a club": YES_NO,
    "history of illness": YES_NO,
    "military service": YES_NO,
    "savings": ("none", "low", "medium", "high"),
    "debt": ("none", "low", "medium", "high"),
}
NUMBERS: dict[str, str] = {
    "height": "centimetres",
    "weight": "kilograms",
    "monthly income": "dollars",
    "yearly income": "dollars",
    "monthly rent": "dollars",
    "tuition fee": "dollars",
    "price": "dollars",
    "screen time": "hours",
    "sleeping time": "hours",
    "travel time": "minutes",
    "waiting time": "minutes",
    "distance to work": "kilometres",
    "experience": "years",
    "time at the address": "months",
    "holiday": "days",
    "test score": "points",
    "share of income saved": "per cent",
    "number of children": "",
    "number of cars": "",
    "number of books": "",
    "number of visits": "",
    "number of accounts": "",
    "number of employers": "",
    "number of complaints": "",
}
NAMES = ("the applicant", "the person", "the client", "the patient", "the student", "the worker", "the tenant")
LEVELS = ("Tiny", "Very low", "Low", "Middling", "High", "Very high", "Huge")
"""How large a number is for its unit."""
SIDES = ("Against", "For")
"""What a statement speaks for in the synthetic world, see :mod:`llm_experts.bases.nano.populations`."""
MADE_UP = ("Is this case on the red list?", "Will this case join the red team?")
"""Questions about the synthetic world, whose answer adds up over the statements of a row."""


def bank() -> tuple[Subject, ...]:
    """Subjects and columns that no card has."""
    traits = [Trait(name, "", words) for name, words in WORDS.items()]
    traits += [Trait(name, unit) for name, unit in NUMBERS.items()]
    return tuple(Subject(name, (), tuple(traits)) for name in NAMES)

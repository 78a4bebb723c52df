"""Synthetic populations: rows whose columns depend on each other through hidden factors.

One *world* gives every column and every category a direction in the space of hidden factors. A population draws its
columns, their order, its own deviation from the world, its ranges and its shares of unknown values; a person draws
hidden factors, and the columns are noisy readings of them. So a column can be foretold from those before it — which is
what makes a language model read them — and questions have answers that add up over all columns.

The numbers are made up: no statistic of a real data set is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from foundation.seeding import numpy_generator
from llm_experts.bases.nano.schema import CATEGORY, Subject, Trait
from tasks.templates import UNKNOWN

FACTORS = 1
UNITS: dict[str, tuple[float, float]] = {
    "years": (30, 0.5),
    "months": (24, 1.0),
    "weeks": (26, 0.8),
    "days": (12, 1.2),
    "hours": (30, 0.5),
    "minutes": (35, 0.8),
    "centimetres": (170, 0.1),
    "kilograms": (75, 0.25),
    "kilometres": (12, 1.0),
    "points": (50, 0.6),
    "per cent": (20, 0.9),
    "cents": (900, 0.7),
    "thousand": (5000, 0.5),
    "dollars": (3000, 1.8),
    "Taiwan dollars": (40000, 1.6),
    "German marks": (2500, 1.0),
}
"""Unit -> median and spread (standard deviation of the logarithm) of the made-up world."""
COUNTS, SHARES, SCORES = (2.0, 0.8), "share", "score"
SHARE_UNIT = "on a scale from 0 to 1"


@dataclass(frozen=True)
class Meaning:
    """What a column stands for in the world.

    Attributes
    ----------
    direction : [FACTORS]
        Of a number: what a large one goes with.
    values : [categories, FACTORS]
        Of each category.
    shares : [categories]
        Log of how frequent categories are.
    scale : str or (median, spread)
        How numbers are drawn.
    """

    direction: np.ndarray
    values: np.ndarray
    shares: np.ndarray
    scale: str | tuple[float, float]


@cache
def meaning(seed: int, trait: Trait) -> Meaning:
    """The meaning of a column in the world of a seed; a function of its words alone."""
    random = numpy_generator(seed, "meaning", trait.text)
    direction = random.standard_normal(FACTORS)
    count = len(trait.values)
    own = random.standard_normal((count, FACTORS))
    if count:
        ladder = (
            np.linspace(-1.3, 1.3, count)[:, None] * direction
        )  # categories are listed in an order more often than not
        own = ladder + 0.5 * own if count < 8 else 0.5 * ladder + own
    return Meaning(direction, own, 0.5 * random.standard_normal(count), _scale(trait, random))


def _scale(trait: Trait, random: np.random.Generator) -> str | tuple[float, float]:
    if trait.unit in UNITS:
        return UNITS[trait.unit]
    if trait.unit == SHARE_UNIT or "share" in trait.text or "average" in trait.text:
        return SHARES
    if any(word in trait.text for word in ("index", "rate", "standardised", "plus-minus")):
        return SCORES
    return (float(np.exp(random.normal(1.0, 0.7))), 0.8)


@dataclass(frozen=True)
class Cell:
    """A value of a row: its words, what it says about the hidden factors; if a number, which one."""

    words: str
    number: float | None
    says: np.ndarray
    level: float = 0.0


@dataclass(frozen=True)
class Rows:
    """Rows of one population.

    Attributes
    ----------
    subject : Subject
    traits : tuple of Trait
        Columns in their order.
    cells : list of rows of Cell
    """

    subject: Subject
    traits: tuple[Trait, ...]
    cells: list[list[Cell]]


def draw_population(
    subjects: tuple[Subject, ...], extra: tuple[Subject, ...], count: int, world: int, random: np.random.Generator
) -> Rows:
    """``count`` rows of a new population.

    Parameters
    ----------
    subjects, extra : tuple of Subject
        Schemas of cards, and those of the bank; most populations are made of the columns of one card.
    world : int
        Seed of what columns mean.
    random : numpy generator
    """
    subject, traits = _columns(subjects, extra, random)
    factors = random.standard_normal((count, FACTORS))
    unknown = random.random((count, len(traits))) < _unknown_share(count, random)[:, None]
    unknown |= random.random((count, len(traits))) < (random.random(len(traits)) < 0.1) * random.random(len(traits))
    columns = [_column(trait, factors, world, random) for trait in traits]
    nothing = Cell(UNKNOWN, None, np.zeros(FACTORS))
    cells = [[nothing if unknown[i, j] else column[i] for j, column in enumerate(columns)] for i in range(count)]
    return Rows(subject, traits, cells)


def _columns(
    subjects: tuple[Subject, ...], extra: tuple[Subject, ...], random: np.random.Generator
) -> tuple[Subject, tuple[Trait, ...]]:
    """Whom the population is about, and its columns: a card's in their order, or some of the bank's in any order."""
    if not subjects or random.random() < 0.15:
        subject = extra[random.integers(len(extra))]
        size = int(random.integers(5, 13))
        chosen = random.choice(len(subject.traits), size, replace=False)
        return subject, tuple(subject.traits[i] for i in chosen)
    subject = subjects[random.integers(len(subjects))]
    size = min(len(subject.traits), int(random.integers(8, 29)))
    chosen = random.choice(len(subject.traits), size, replace=False)
    if random.random() < 0.7:
        chosen = np.union1d(chosen, [0])  # in the order of the card, which mostly begins with its first column
    return subject, tuple(subject.traits[i] for i in chosen)


def _unknown_share(count: int, random: np.random.Generator) -> np.ndarray:
    """Rows differ: most know almost everything, some have many columns masked."""
    heavy = random.random(count) < 0.15
    return np.where(heavy, random.random(count) * 0.6, 0.03 * random.random())


def _column(trait: Trait, factors: np.ndarray, world: int, random: np.random.Generator) -> list[Cell]:
    known = meaning(world, trait)
    if trait.kind == CATEGORY:
        return _categories(trait, known, factors, random)
    return _numbers(trait, known, factors, random)


def _categories(trait: Trait, known: Meaning, factors: np.ndarray, random: np.random.Generator) -> list[Cell]:
    own = known.values + 0.3 * random.standard_normal(known.values.shape)
    logits = known.shares + 0.7 * random.standard_normal(len(trait.values)) + factors @ own.T
    codes = (logits + random.gumbel(size=logits.shape)).argmax(1)
    cells = [Cell(word, None, says) for word, says in zip(trait.values, known.values, strict=True)]
    return [cells[code] for code in codes.tolist()]


def _numbers(trait: Trait, known: Meaning, factors: np.ndarray, random: np.random.Generator) -> list[Cell]:
    own = known.direction + 0.3 * random.standard_normal(FACTORS)
    strength = random.uniform(0.4, 0.9)
    noise = np.sqrt(1 - strength**2) * random.standard_normal(len(factors))
    level = strength * (factors @ own) / np.linalg.norm(own) + noise
    level = random.normal(0, 0.4) + random.uniform(0.6, 1.2) * level
    if isinstance(known.scale, str) and known.scale == SHARES:
        numbers = np.round(1 / (1 + np.exp(-level)), 2)
        standard = (numbers - 0.5) * 4
    elif isinstance(known.scale, str):  # SCORES
        numbers = np.round(level * 2, int(random.integers(1, 3)))
        standard = numbers / 2
    else:
        median, spread = known.scale
        numbers = np.round(np.exp(np.log(median) + spread * level))
        if median > 2000 and random.random() < 0.3:
            numbers = np.round(numbers, -2)
        if random.random() < 0.15:
            numbers[level < random.normal(0.3, 0.7)] = 0
        standard = (np.log1p(numbers) - np.log1p(median)) / (spread + 0.1)
    says = np.clip(standard, -2.5, 2.5)[:, None] * known.direction
    unit = f" {trait.unit}" if trait.unit else ""
    drawn = zip(numbers.tolist(), says, standard.tolist(), strict=True)
    return [Cell(f"{number:.10g}{unit}", number, says, level) for number, says, level in drawn]

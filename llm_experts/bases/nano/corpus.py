"""Lessons: what nano reads. A row, and behind it several questions that do not see each other.

Questions about one row share its tokens, as the two orders of the options do when experts ask
(:mod:`llm_experts.prompts.prompts`): each branch is an ordinary text, "row question answer", at the price of the
question alone.

Task families: *tell* (is this column above 40, equal to that word, unknown?), *recall* (say the column's value), *rule*
(apply a rule that the text states, asked in a card's own words) and *decide* (made-up lists whose answer adds up over
all columns in the synthetic world). Running text comes from corpus files, if given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from foundation.seeding import derive_seed, numpy_generator
from llm_experts.bases.nano.populations import Rows, draw_population
from llm_experts.bases.nano.schema import LEVELS, MADE_UP, NUMERIC, SIDES, Subject
from tasks.templates import FORMATS, UNKNOWN

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEMPLATE_SHARES = {"sentence": 0.7, "list": 0.15, "record": 0.15}
TAILS = (("decide", 3), ("tell", 1), ("rule", 1))
"""Questions asked of every row."""
VALUE_WEIGHT, LEVEL_WEIGHT, SIDE_WEIGHT, ANSWER_WEIGHT = 0.2, 4.0, 1.0, 1.0
GRADED = 0.7
"""Share of rows that say how large numbers are."""
BOUNDS = (-1.5, -0.9, -0.3, 0.3, 0.9, 1.5)
YES_NO = (" no", " yes")
FACTORS_OF_BOUNDS = (0.25, 0.5, 0.75, 1.25, 1.5, 3.0)


class Part(NamedTuple):
    """A piece of text and how much the model should care to foretell its tokens."""

    text: str
    weight: float


class Question(NamedTuple):
    """A branch behind a row: its text, the last part of which is the answer; family and truth for the examination."""

    parts: tuple[Part, ...]
    family: str
    truth: int


@dataclass(frozen=True)
class Lesson:
    """A text and its branches as pieces."""

    parts: tuple[Part, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, eq=False)
class Tokens:
    """A lesson as tokens; all arrays are [t].

    Attributes
    ----------
    ids, positions : int32
    branch : int16
        0 the row, k its k-th question.
    targets : int32
        The token that follows, in the branch.
    weights : float32
        Of the prediction of the target; 0 where nothing follows.
    """

    ids: np.ndarray
    positions: np.ndarray
    branch: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    ends: np.ndarray  # [questions] int64: the last token of each branch

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)


def lessons(
    subjects: tuple[Subject, ...], extra: tuple[Subject, ...], count: int, world: int, stream: str, rows: int = 12
) -> Iterator[Lesson]:
    """``count`` rows with their questions, from new populations of ``rows`` rows each.

    ``stream`` names the random stream: another one has other populations.
    """
    made = 0
    index = 0
    while made < count:
        population = draw_population(subjects, extra, rows, world, numpy_generator(world, "population", stream, index))
        random = Random(derive_seed(world, "questions", stream, index))
        template = _template(random)
        for row in range(min(rows, count - made)):
            yield Lesson(
                _row(population, row, template, random.random() < GRADED),
                _questions(population, row, template, random),
            )
            made += 1
        index += 1


def pick(random: Random, count: int) -> int:
    """A whole number below ``count``; plain arithmetic, the same in every Python."""
    return int(random.random() * count)


def _template(random: Random) -> str:
    draw = random.random()
    for name, share in TEMPLATE_SHARES.items():
        draw -= share
        if draw < 0:
            return name
    return name


def _row(population: Rows, row: int, template: str, graded: bool) -> tuple[Part, ...]:
    """A row in a template; a graded one says of each number how large it is."""
    style = FORMATS[template]
    parts = []
    for place, (trait, cell) in enumerate(zip(population.traits, population.cells[row], strict=True)):
        before, behind = style.around(population.subject.name, trait.text)
        parts.append(Part(f"{style.between if place else ''}{before}{cell.words}{behind}", VALUE_WEIGHT))
        if graded and cell.number is not None:
            parts.append(Part(f" {LEVELS[sum(cell.level > bound for bound in BOUNDS)]}.", LEVEL_WEIGHT))
        if graded and cell.words != UNKNOWN:
            parts.append(Part(f" {SIDES[int(cell.says[0] > 0)]}.", SIDE_WEIGHT))
    if style.end:
        parts.append(Part(style.end, VALUE_WEIGHT))
    return tuple(parts)


def _questions(population: Rows, row: int, template: str, random: Random) -> tuple[Question, ...]:
    found = []
    for family, count in TAILS:
        for _ in range(count):
            question = FAMILIES[family](population, row, FORMATS[template].ask, random)
            if question is not None:
                found.append(question)
    return tuple(found)


def _asked(ask: str, before: str, question: str, truth: int, family: str, random: Random) -> Question:
    """The prompt that experts use, with the options in a random order."""
    first, second = ("yes", "no") if random.random() < 0.5 else ("no", "yes")
    parts = (
        Part(f"{ask}{before}Question: {question} Options:", 0.0),
        Part(f" {first} or {second}. Answer:", 0.0),
        Part(YES_NO[truth], ANSWER_WEIGHT),
    )
    return Question(parts, family, truth)


def _decide(population: Rows, row: int, ask: str, random: Random) -> Question | None:
    question = MADE_UP[pick(random, len(MADE_UP))]
    says = sum(float(cell.says.sum()) for cell in population.cells[row])
    if abs(says) < 0.3:  # too close to call
        return None
    return _asked(ask, "", question, int(says > 0), "decide", random)


class Claim(NamedTuple):
    """A statement about one column, and whether it holds."""

    words: str
    truth: bool


def _claim(population: Rows, row: int, random: Random) -> Claim:
    """Something about a random column, true about half of the time."""
    place = pick(random, len(population.traits))
    if population.traits[place].kind == NUMERIC and random.random() < 0.5:  # half of the numbers: comparing is hard
        place = pick(random, len(population.traits))
    trait, cell = population.traits[place], population.cells[row][place]
    subject = population.subject.name
    start = f"{subject[:1].upper()}{subject[1:]}'s {trait.text} is"
    if random.random() < 0.1 or cell.words == UNKNOWN:
        truth = cell.words == UNKNOWN
        return Claim(f"{start} {UNKNOWN}.", truth)
    if cell.number is None:
        if random.random() < 0.5:
            return Claim(f"{start} {cell.words}.", True)
        others = [word for word in trait.values if word != cell.words]
        return Claim(f"{start} {others[pick(random, len(others))]}.", False)
    other = population.cells[pick(random, len(population.cells))][place].number
    bound = cell.number * FACTORS_OF_BOUNDS[pick(random, 6)] if other in (None, cell.number) else other
    bound = float(f"{bound:.2g}")
    above = random.random() < 0.5
    holds = cell.number > bound if above else cell.number < bound
    return Claim(f"{start} {'above' if above else 'below'} {bound:.10g}.", bool(holds))


def _tell(population: Rows, row: int, ask: str, random: Random) -> Question:
    claim = _claim(population, row, random)
    return _asked(ask, "", f"Is this true? {claim.words}", int(claim.truth), "tell", random)


def _rule(population: Rows, row: int, ask: str, random: Random) -> Question:
    asked = population.subject.questions or MADE_UP
    question = asked[pick(random, len(asked))] or MADE_UP[0]
    first = _claim(population, row, random)
    words, truth = first.words, first.truth
    if random.random() < 0.4:
        second = _claim(population, row, random)
        both = random.random() < 0.5
        words = f"{'Both' if both else 'Either'}: {first.words} {second.words}"
        truth = (first.truth and second.truth) if both else (first.truth or second.truth)
    return _asked(ask, f"Rule for yes: {words} ", question, int(truth), "rule", random)


def _recall(population: Rows, row: int, ask: str, random: Random) -> Question | None:
    numbers = [place for place, cell in enumerate(population.cells[row]) if cell.number is not None]
    if not numbers:
        return None
    place = numbers[pick(random, len(numbers))]
    subject = population.subject.name
    start = f" {subject[:1].upper()}{subject[1:]}'s {population.traits[place].text} is"
    parts = (
        Part(f"{ask}Question: What is known?", 0.0),
        Part(start, 0.0),
        Part(f" {population.cells[row][place].words}.", VALUE_WEIGHT),
    )
    return Question(parts, "recall", -1)


Family = Callable[[Rows, int, str, Random], Question | None]
FAMILIES: dict[str, Family] = {"decide": _decide, "tell": _tell, "rule": _rule, "recall": _recall}


class Encoder:
    """Lessons as tokens; a piece of text is tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, np.ndarray] = {}

    @property
    def answer_ids(self) -> tuple[int, int]:
        """Tokens of no and yes."""
        no, yes = map(self._token, YES_NO)
        return no, yes

    @property
    def level_ids(self) -> tuple[int, ...]:
        """Tokens of the sizes of numbers."""
        return tuple(self._token(f" {level}.") for level in LEVELS)

    @property
    def side_ids(self) -> tuple[int, ...]:
        """Tokens of what statements speak for."""
        return tuple(self._token(f" {side}.") for side in SIDES)

    def _token(self, text: str) -> int:
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return int(ids[0])

    def encode(self, batch: Sequence[Lesson]) -> list[Tokens]:
        """Tokens of lessons."""
        pieces = (p.text for lesson in batch for p in _all_parts(lesson))
        new = list(dict.fromkeys(text for text in pieces if text not in self._known))
        if new:
            found = self._tokenizer(new, add_special_tokens=False)["input_ids"]
            self._known.update((text, np.array(ids, dtype=np.int32)) for text, ids in zip(new, found, strict=True))
        return [self._tokens(lesson) for lesson in batch]

    def _tokens(self, lesson: Lesson) -> Tokens:
        row, row_weights = self._spelt(lesson.parts)
        ids, positions = [row], [np.arange(len(row))]
        targets, weights = [np.append(row[1:], 0)], [np.append(row_weights[1:], 0)]
        for question in lesson.questions:
            spelt, spelt_weights = self._spelt(question.parts)
            ids.append(spelt[:-1])
            positions.append(len(row) + np.arange(len(spelt) - 1))
            targets.append(spelt[1:])
            weights.append(spelt_weights[1:])
        sizes = [len(part) for part in ids]
        branch = np.repeat(np.arange(len(ids)), sizes)
        return Tokens(
            np.concatenate(ids).astype(np.int32),
            np.concatenate(positions).astype(np.int32),
            branch.astype(np.int16),
            np.concatenate(targets).astype(np.int32),
            np.concatenate(weights).astype(np.float32),
            np.cumsum(sizes)[1:] - 1,
        )

    def _spelt(self, parts: tuple[Part, ...]) -> tuple[np.ndarray, np.ndarray]:
        spelt = [self._known[part.text] for part in parts]
        weights = np.repeat([part.weight for part in parts], [len(ids) for ids in spelt])
        return np.concatenate(spelt), weights


def _all_parts(lesson: Lesson) -> Iterator[Part]:
    yield from lesson.parts
    for question in lesson.questions:
        yield from question.parts

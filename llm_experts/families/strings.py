"""String programs: one or two steps on letters, such as reverse, or uppercase every second."""

from __future__ import annotations

from collections.abc import Callable

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import first_line
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated

LETTERS = "abcdefghijklmnopqrstuvwxyz"
EASY_LETTERS = "abcdfglmnprstvwy"
"""Letters of which nano knows each as a token of its own; the others come in at difficulty 0.3."""
VOWELS = frozenset("aeiou")
STEPS: dict[str, Callable[[str], str]] = {
    "copy": lambda text: text,
    "drop the first": lambda text: text[1:],
    "drop the last": lambda text: text[:-1],
    "reverse": lambda text: text[::-1],
    "uppercase all": str.upper,
    "last to front": lambda text: text[-1:] + text[:-1],
    "swap first and last": lambda text: text[-1:] + text[1:-1] + text[:1] if len(text) > 1 else text,
    "double each": lambda text: "".join(letter * 2 for letter in text),
    "uppercase every second": lambda text: "".join(c.upper() if i % 2 else c for i, c in enumerate(text)),
    "sort": lambda text: "".join(sorted(text)),
    "drop vowels": lambda text: "".join(letter for letter in text if letter.lower() not in VOWELS),
    "next letter": lambda text: "".join(LETTERS[(LETTERS.index(letter) + 1) % 26] for letter in text),
}
"""Programs by name, the easier ones first; each takes lower-case letters."""
EASY, HARD_LETTERS, WHOLE_WORDS, TWO_STEPS = 4, 0.3, 0.6, 0.75
"""Programs of difficulty 0; the difficulties from which all letters occur, letters stand together, steps are two."""
CLOSE = 0.5
"""Most reward of a wrong answer: for the share of its places that are right."""


def _draw(draw: Draw, difficulty: float) -> Made:
    text = "".join(draw.sample(EASY_LETTERS if difficulty < HARD_LETTERS else LETTERS, 3 + int(5 * difficulty)))
    known = list(STEPS)[: EASY + int((len(STEPS) - EASY) * min(1.0, difficulty / TWO_STEPS))]
    steps = [draw.pick(known)]
    if difficulty >= TWO_STEPS and draw.chance(0.6):
        steps.insert(0, draw.pick(("reverse", "drop the first", "drop the last", "last to front", "sort")))
    result = text
    for step in steps:
        result = STEPS[step](result)
    if not result:  # all were vowels
        return _draw(draw, difficulty)
    between = "" if difficulty >= WHOLE_WORDS else " "
    said = " then ".join(steps)
    prompt = f"{said.capitalize()}: {between.join(text)} Answer:"
    return Made(prompt, between.join(result), f"{said}: {text}", {"kind": "letters", "answer": between.join(result)})


def _said(answer: str) -> str:
    """The letters of the first line, one blank at most between two, without quotes or marks around them."""
    return " ".join(first_line(answer).split())


def _check(example: Example, answer: str) -> Verdict:
    said, wanted = _said(answer), str(example.facts["answer"])
    return Verdict(True) if said == wanted else Verdict(False, f"{said[:40]!r} is not {wanted!r}")


def _reward(example: Example, answer: str) -> float:
    said, wanted = _said(answer), str(example.facts["answer"])
    if said == wanted:
        return 1.0
    right = sum(left == other for left, other in zip(said, wanted, strict=False))
    return CLOSE * right / max(len(said), len(wanted))


FAMILY = Family(
    name="strings",
    label="String programs",
    about="Apply one or two steps to letters: reverse, uppercase every second, drop vowels and so on.",
    scores=("correct",),
    longest_answer=24,
    make=generated("strings", _draw),
    check=_check,
    reward=_reward,
)

"""Date logic: weekdays, days to come and past, days between, leap years."""

from __future__ import annotations

from datetime import date, timedelta

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import date_in, label_in, number_in
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.words import DAYS, EVENTS, NAMES

FIRST, LAST = date(1990, 1, 1).toordinal(), date(2059, 12, 31).toordinal()
READ = 0.2
"""Reward of an answer of the right kind that is not right."""


def _draw(draw: Draw, difficulty: float) -> Made:
    if difficulty < 0.3:
        return _weekday(draw, 14 + int(40 * difficulty))
    if difficulty < 0.6:
        return draw.pick((_weekday, _shifted))(draw, 14 + int(40 * (difficulty - 0.3)))
    return draw.pick((_shifted, _between, _day_of, _leap))(draw, 30 + int(300 * (difficulty - 0.6)))


def _weekday(draw: Draw, most: int) -> Made:
    day, shift, later = draw.below(7), draw.between(1, most + 2), draw.chance(0.5)
    answer = DAYS[(day + shift if later else day - shift) % 7]
    said = _said(shift, later)
    asked = f"is on {DAYS[day]}. What day is {said}?"
    prompt = f"{draw.pick(NAMES)}'s {draw.pick(EVENTS)} {asked} Answer:"
    return Made(prompt, answer, asked, {"kind": "weekday", "answer": answer, "labels": list(DAYS)})


def _shifted(draw: Draw, most: int) -> Made:
    start, shift, later = draw.between(FIRST, LAST), draw.between(1, most), draw.chance(0.5)
    answer = date.fromordinal(start + (shift if later else -shift)).isoformat()
    said = f"{date.fromordinal(start)}. What date is {_said(shift, later)}?"
    return Made(f"It is {said} Answer:", answer, said, {"kind": "date", "answer": answer})


def _between(draw: Draw, most: int) -> Made:
    start, days = draw.between(FIRST, LAST), draw.between(1, most)
    said = f"How many days from {date.fromordinal(start)} to {date.fromordinal(start + days)}?"
    return Made(f"{said} Answer:", str(days), said, {"kind": "number", "answer": days})


def _day_of(draw: Draw, most: int) -> Made:
    """The weekday of a date from that of another one nearby."""
    day = date.fromordinal(draw.between(FIRST, LAST))
    other = day + timedelta(days=draw.between(1, most))
    answer = DAYS[other.weekday()]
    said = f"{day} is a {DAYS[day.weekday()]}. What day is {other}?"
    return Made(f"{said} Answer:", answer, said, {"kind": "weekday", "answer": answer, "labels": list(DAYS)})


def _leap(draw: Draw, most: int) -> Made:  # noqa: ARG001 - years have no distance
    year = draw.pick((*range(1904, 2096, 4), *range(1901, 2096), *range(1600, 2500, 100)))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    answer = "yes" if leap else "no"
    asked = f"was in {year}. Was it a leap year?"
    facts = {"kind": "yes or no", "answer": answer, "labels": ["yes", "no"]}
    return Made(f"{draw.pick(NAMES)}'s {draw.pick(EVENTS)} {asked} Answer:", answer, asked, facts)


def _said(shift: int, later: bool) -> str:
    return f"{shift} day{'s' * (shift > 1)} {'later' if later else 'earlier'}"


def _stated(example: Example, answer: str) -> str | None:
    """What the answer says, in the words of the facts; None if nothing of the right kind."""
    kind = example.facts["kind"]
    if kind == "date":
        found = date_in(answer)
        return None if found is None else found.isoformat()
    if kind == "number":
        number = number_in(answer)
        return None if number is None else str(number)
    return label_in(answer, DAYS if kind == "weekday" else ("yes", "no"))


def _check(example: Example, answer: str) -> Verdict:
    said, wanted = _stated(example, answer), str(example.facts["answer"])
    if said is None:
        return Verdict(False, f"it states no {example.facts['kind']}")
    return Verdict(True) if said == wanted else Verdict(False, f"{said} is not {wanted}")


def _reward(example: Example, answer: str) -> float:
    if _check(example, answer).correct:
        return 1.0
    return 0.0 if _stated(example, answer) is None else READ


FAMILY = Family(
    name="dates",
    label="Date logic",
    about="Which day or date is it so many days later? How many days lie between? Is it a leap year?",
    scores=("correct", "exact_match"),
    longest_answer=16,
    make=generated("dates", _draw),
    check=_check,
    reward=_reward,
)

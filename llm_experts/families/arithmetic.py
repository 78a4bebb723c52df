"""Word problems of one to four steps on whole numbers; how many steps and how large follows from the difficulty."""

from __future__ import annotations

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import number_in
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.words import NAMES, THINGS

MORE, LESS = ("gets", "finds", "buys", "wins"), ("loses", "gives away", "sells", "uses")
TRIED = 0.1
"""Reward of a number that is not the answer."""


def _draw(draw: Draw, difficulty: float) -> Made:
    name, things = draw.pick(NAMES), draw.pick(THINGS)
    top = 30 + int(60 * difficulty)
    value = draw.between(2, top)
    content, text = [str(value)], f"{name} has {value} {things}."
    for _ in range(1 + int(3.999 * difficulty)):
        sign, other, value = _step(draw, value, top, difficulty)
        content.append(f"{sign}{other}")
        text += f" {_said(draw, sign, other, things)}"
    return Made(f"{text} How many now? Answer:", str(value), " ".join(content), {"answer": value})


def _step(draw: Draw, value: int, top: int, difficulty: float) -> tuple[str, int, int]:
    """Sign, number and outcome of one step; never below 0, always whole, at most ten times the top."""
    if difficulty >= 0.5 and draw.chance(0.3):
        factor = draw.between(2, 4)
        if value % factor == 0 and value and draw.chance(0.5):
            return "/", factor, value // factor
        if value * factor <= 10 * top:
            return "*", factor, value * factor
    if value > 1 and draw.chance(0.5):
        other = draw.between(1, min(value, top))
        return "-", other, value - other
    other = draw.between(1, top)
    return "+", other, value + other


def _said(draw: Draw, sign: str, other: int, things: str) -> str:
    if sign == "*":
        return f"The {things} become {other} times as many."
    if sign == "/":
        return f"One in {other} stays." if other > 2 else "One in two stays."
    said = f"{draw.pick(MORE)} {other} more." if sign == "+" else f"{draw.pick(LESS)} {other}."
    return said.capitalize()


def _check(example: Example, answer: str) -> Verdict:
    said, wanted = number_in(answer), example.facts["answer"]
    if said is None:
        return Verdict(False, "there is no number")
    return Verdict(True) if said == wanted else Verdict(False, f"{said} is not {wanted}")


def _reward(example: Example, answer: str) -> float:
    if _check(example, answer).correct:
        return 1.0
    return 0.0 if number_in(answer) is None else TRIED


FAMILY = Family(
    name="arithmetic",
    label="Arithmetic word problems",
    about="How many are left after one to four steps? A whole number.",
    scores=("correct", "exact_match"),
    longest_answer=8,
    make=generated("arithmetic", _draw),
    check=_check,
    reward=_reward,
)

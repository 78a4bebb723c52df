"""Tables of the page whose rows need more than one look into the results."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from foundation.numbers import finite
from reports.discovery.figures.seconds import seconds_by_step
from reports.discovery.reading import (
    STEPS,
    Discovery,
    Measured,
    Node,
    at,
    items,
    measured,
    number,
    rows,
    text,
    texts,
    truth,
)
from reports.discovery.winner import accepted, measures, weights_of, winner_row
from reports.format import NONE, count_text, interval_text, value_text

SYMBOLS = {True: "✓ passed", False: "✗ failed", None: "– unmeasured"}


@dataclass(frozen=True)
class StepState:
    """A step as the head of the page shows it; ``seconds`` is nan where nobody tells them."""

    name: str
    state: str
    seconds: float


def step_states(found: Discovery) -> list[StepState]:
    """State of every step: what ``discovery.json`` says, else whether its result is there."""
    told = {text(row, "name"): text(row, "state") for row in rows(found.top, "steps")}
    took = seconds_by_step(found)
    return [
        StepState(name, told.get(place) or ("done" if name in found.steps else "missing"), took.get(name, math.nan))
        for place, name in STEPS.items()
    ]


def estimate(one: Measured) -> str:
    """``0.598 [0.555, 0.641]``; a dash where nothing is known."""
    return f"{value_text(one.estimate)} {interval_text(one.low, one.high)}".strip()


def share(row: Node) -> str:
    """Share of right answers of a row of the capability report."""
    return estimate(Measured(number(row, "share"), number(row, "low"), number(row, "high")))


def mark_of(one: Measured) -> str:
    """A word for which side of nothing the whole interval lies on."""
    if math.isnan(one.low + one.high):
        return ""
    return {1: "better", -1: "worse"}.get(one.sure, "open")


def contender_measures(found: Discovery) -> list[str]:
    """Columns of the table of contenders."""
    return measures(found)


def weights(row: Node) -> str:
    """``numbers 0.91, formats 0.72``; experts without weight are left out."""
    return ", ".join(f"{name} {value_text(weight, 2)}" for name, weight in weights_of(row).items() if weight)


def winning_weights(found: Discovery) -> list[tuple[str, float]]:
    """Weight of every expert in the winner; none without a winner."""
    won = winner_row(found)
    return list(weights_of(won).items()) if won else []


def gate_state(row: Node) -> str:
    """Sign and word: no verdict depends on a colour."""
    return SYMBOLS[truth(row, "passed")]


def gate_number(row: Node, key: str) -> str:
    """Value or bound of a gate: counts without decimals, text as it is, a dash for nothing."""
    several = at(row, key)
    if isinstance(several, list):
        return " … ".join(gate_number({key: one}, key) for one in several[:2]) or NONE
    value = number(row, key)
    if math.isnan(value):
        return {True: "yes", False: "no", None: text(row, key) or NONE}[truth(row, key)]
    return count_text(value) if value == round(value) else value_text(value)


def gate_bound(row: Node) -> str:
    """``≥ 0.850``."""
    return signs(f"{text(row, 'relation')} {gate_number(row, 'bound')}".strip())


def signs(words: str) -> str:
    """Words with relations as people write them."""
    return words.replace(">=", "≥").replace("<=", "≤").replace("==", "=")


def objections(found: Discovery) -> list[tuple[str, list[str]]]:
    """Contenders with objections, and these."""
    every = rows(found.step("examination"), "contenders")
    return [(text(row, "label"), [signs(one) for one in own]) for row in every if (own := texts(row, "objections"))]


def winner_word(found: Discovery) -> str:
    """What the contender is that the examination names: the winner, or what stays where it accepts none."""
    return "winner" if accepted(found) else "stays"


def gate_class(row: Node) -> str:
    """Class of the gate's cell."""
    return {True: "better", False: "worse", None: "none"}[truth(row, "passed")]


def checks(row: Node) -> str:
    """``difficulty 24, answer 7``: how many drafts each check refused."""
    told = [(name, number(value, "failed")) for name, value in items(row, "checks")]
    return ", ".join(f"{name} {failed:.0f}" for name, failed in told if failed > 0)


def acceptance(row: Node) -> str:
    """Accepted share of the drafts, with its interval where the file has one."""
    ends = (number(row, f"acceptance_{end}") for end in ("low", "high"))
    return estimate(Measured(number(row, "acceptance"), *ends))


def said(found: Discovery) -> list[tuple[str, str]]:
    """What the makers of the data say that a reader has to know: expert and sentence."""
    every = rows(found.step("data"), "experts")
    return [(text(row, "name"), sentence) for row in every for sentence in texts(row, "said")]


def zone(row: Node) -> str:
    """Mean success of the accepted items, with its range."""
    return estimate(Measured(*(number(row, "zone", key) for key in ("mean", "low", "high"))))


def last_of(row: Node) -> Measured:
    """Accuracy of the checkpoint that was kept: as the expert's row has it, else that of the curve at its step."""
    own = Measured(*(number(row, key) for key in ("accuracy", "low", "high")))
    if own.known:
        return own
    curve = [p for p in rows(row, "curve") if not math.isnan(number(p, "accuracy"))]
    kept = [p for p in curve if number(p, "step") == number(row, "best_step")] or curve[-1:]
    return Measured(*(number(kept[0], key) for key in ("accuracy", "low", "high"))) if kept else Measured()


def settings(found: Discovery) -> str:
    """Settings as indented JSON."""
    return json.dumps(finite(at(found.top, "settings")), indent=2, sort_keys=True, ensure_ascii=False)


def bounds(row: Node, who: str) -> str:
    """``numbers 0.40 … 1.10``: where guidance let weights lie."""
    told = []
    for name, value in items(row, who):
        ends = [number({"x": one}, "x") for one in value] if isinstance(value, list) else []
        if len(ends) == 2 and not any(map(math.isnan, ends)):
            told.append(f"{name} {value_text(ends[0], 2)} … {value_text(ends[1], 2)}")
    return ", ".join(told)


def domain_rows(found: Discovery) -> list[dict[str, object]]:
    """A row for each domain: capability, examination, gains."""
    report = {text(row, "name"): row for row in rows(found.step("capability"), "domains")}
    exam = {text(row, "domain"): row for row in rows(found.step("examination"), "domains")}
    return [
        {
            "domain": name, "before": report.get(name, {}), "expert": text(exam.get(name, {}), "expert"),
            **{key: measured(exam.get(name, {}), key) for key in ("base", "single", "winner", "gain", "winner_gain")},
        }
        for name in found.domains
    ]  # fmt: skip

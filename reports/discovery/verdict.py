"""The outcome in sentences, each with how sure it is; nothing is said that no file says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.words import plural
from reports.discovery.goals import measure_words
from reports.discovery.reading import (
    STEPS,
    Discovery,
    Measured,
    measured,
    number,
    paired_difference,
    rows,
    text,
    texts,
    truth,
)
from reports.discovery.winner import changes_something, main_measure, winner_row
from reports.format import count_text, interval_text, points_text, signed, value_text

SURELY = (
    "Surely: the whole 95 % interval lies on one side. Of twenty differences that are none, one is expected to look so."
)


@dataclass(frozen=True)
class Verdict:
    """What stands at the top of the page.

    Attributes
    ----------
    headline : str
    good : bool or None
        Whether something better than the base was found; None where nothing was examined yet.
    sentences : tuple of str
    sure : tuple of str
        How sure that is, and what it rests on.
    """

    headline: str
    good: bool | None
    sentences: tuple[str, ...]
    sure: tuple[str, ...]


def verdict(found: Discovery) -> Verdict:
    """The verdict of whatever steps there are."""
    if not rows(found.step("examination"), "contenders"):
        return Verdict(_unexamined(found), None, tuple(_early(found)), ())
    headline, good = _outcome(found)
    sentences = [*_rivals(found), *_specialists(found), *_costs(found), *_preserved(found), *_gates(found)]
    return Verdict(headline, good, tuple(sentences), tuple(_sure(found)))


def _unexamined(found: Discovery) -> str:
    missing = [name for name in STEPS.values() if name not in found.steps]
    if len(missing) == len(STEPS):
        return "Nothing has been measured yet."
    last = f"{', '.join(missing[:-1])} and {missing[-1]} are" if len(missing) > 1 else "".join([*missing, " is"])
    return f"No verdict yet: {last} not done."


def _early(found: Discovery) -> list[str]:
    """What is known before the examination."""
    domains, experts = rows(found.step("capability"), "domains"), rows(found.step("plan"), "experts")
    told = [f"The base was measured in {plural(len(domains), 'domain')}."] if domains else []
    told += (
        [f"{plural(len(experts), 'expert')} planned: {', '.join(text(e, 'name') for e in experts)}."] if experts else []
    )
    return told


def _outcome(found: Discovery) -> tuple[str, bool]:
    """Headline, and whether it is a gain."""
    step, won = found.step("examination"), winner_row(found)
    if won is None or truth(step, "accepted") is not True:
        refused = [text(row, "label") for row in rows(step, "contenders") if texts(row, "objections")]
        why = f" {plural(len(refused), 'contender')} had objections." if refused else ""
        single = won is not None and text(won, "kind") != "base"
        left = f"what is left is {text(won, 'label')}" if single else "the base stays"
        return f"No mixture was accepted: {left}.{why}", False
    if text(won, "kind") == "base":
        return "Nothing beat the base: it stays as it is.", False
    label, kind = text(won, "label"), text(won, "kind")
    one = _paired(found, label, "base")
    what = {"single": f"The single expert {label}", "uniform": "The uniform mixture"}.get(
        kind, f"The candidate {label}"
    )
    if not one.known:
        return f"{what} is accepted.", True
    return f"{what} is accepted: {_amount(found, one)} {_manner(one)} the base.", one.sure > 0


def _paired(found: Discovery, label: str, kind: str) -> Measured:
    """Difference of a contender to the first rival of a kind."""
    step = found.step("examination")
    rivals = {text(row, "label") for row in rows(step, "contenders") if text(row, "kind") == kind}
    for row in rows(step, "paired"):
        if text(row, "label") == label and text(row, "rival") in rivals:
            return paired_difference(row)
    return Measured()


def _amount(found: Discovery, one: Measured) -> str:
    """``+20.9 points of accuracy [17.0, 25.0]``."""
    return f"{points(one.estimate)} points of {measure_words(main_measure(found)) or 'accuracy'}{span(one)}"


def points(value: float) -> str:
    """A difference in points of 100, ``+20.9``."""
    return points_text(value, 1)


def span(one: Measured) -> str:
    """Its interval in points, `` [+17.0, +25.0]``; empty where there is none."""
    return "" if math.isnan(one.low + one.high) else f" [{points(one.low)}, {points(one.high)}]"


def _manner(one: Measured) -> str:
    if math.isnan(one.low + one.high):
        return "against"
    return {1: "better than", -1: "worse than"}.get(one.sure, "and not separable from")


def _rivals(found: Discovery) -> list[str]:
    """The winner against single experts and the uniform mixture."""
    step, won = found.step("examination"), winner_row(found)
    if won is None:
        return []
    kinds = {text(row, "label"): text(row, "kind") for row in rows(step, "contenders")}
    told = [
        (text(row, "rival"), paired_difference(row))
        for row in rows(step, "paired")
        if text(row, "label") == text(won, "label") and kinds.get(text(row, "rival")) in ("single", "uniform")
    ]
    words = {1: "surely better than", 0: "not separable from", -1: "surely worse than"}
    groups = {sure: [f"{n} ({points(one.estimate)})" for n, one in told if one.sure == sure] for sure in words}
    parts = [f"{words[sure]} {', '.join(names)}" for sure, names in groups.items() if names]
    who = "Against other ways to use the experts" if changes_something(found) else "What stays, against the experts"
    return [f"{who}, in points: {'; '.join(parts)}."] if parts else []


def _specialists(found: Discovery) -> list[str]:
    """Whether experts beat the base on their own domains."""
    told = [one for row in rows(found.step("examination"), "domains") if (one := measured(row, "gain")).known]
    if not told:
        return []
    better, worse = sum(one.sure > 0 for one in told), sum(one.sure < 0 for one in told)
    open_ = len(told) - better - worse
    return [
        f"Experts on their own domains: surely better than the base in {better} of {len(told)}, not separable in "
        f"{open_}, surely worse in {worse}.{_adjusted(told)}"
    ]


def _adjusted(told: Sequence[Measured]) -> str:
    """How many of the better ones are left when the number of domains is allowed for."""
    if all(math.isnan(one.p_holm) for one in told):
        return ""
    left = sum(one.sure > 0 and one.p_holm < 0.05 for one in told)
    return f" Better in {left} after Holm's adjustment for the number of domains."


def _costs(found: Discovery) -> list[str]:
    told = [(text(row, "domain"), measured(row, "winner_gain")) for row in rows(found.step("examination"), "domains")]
    told = [(domain, one) for domain, one in told if one.known]
    if not told or not changes_something(found):
        return []
    paid = [f"{domain} ({points(one.estimate)})" for domain, one in told if one.sure < 0]
    if paid:
        return [f"The winner pays for it in {', '.join(paid)}: points lost to the base, surely."]
    domain, worst = min(told, key=lambda pair: pair[1].estimate)
    return [
        f"No domain surely loses by the winner; the lowest change is {domain}, {points(worst.estimate)} points "
        f"{interval_text(100 * worst.low, 100 * worst.high, 1)}."
    ]


def _preserved(found: Discovery) -> list[str]:
    tasks = rows(found.step("preserve"), "tasks")
    if not tasks:
        return []
    kept, lost, idle = ([text(row, "name") for row in tasks if truth(row, "preserved") is way]
                        for way in (True, False, None))  # fmt: skip
    unknown = [text(row, "name") for row in tasks if text(row, "reason")]
    idle = [name for name in idle if name not in unknown]
    more = f"; not shown for {', '.join(lost)}" if lost else ""
    more += f"; the base has nothing to lose in {', '.join(idle)}" if idle else ""
    more += f"; {', '.join(unknown)} could not be measured" if unknown else ""
    return [f"What had to stay is kept within its margin in {len(kept)} of {len(tasks)} tasks{more}."]


def _gates(found: Discovery) -> list[str]:
    gates = rows(found.step("gates"), "gates")
    if not gates:
        return []
    passed, failed = (sum(truth(row, "passed") is want for row in gates) for want in (True, False))
    return [f"Gates: {passed} passed, {failed} failed, {len(gates) - passed - failed} could not be measured."]


def _sure(found: Discovery) -> list[str]:
    """What the verdict rests on."""
    step, won, told = found.step("examination"), winner_row(found), []
    count = number(step, "scenarios")
    if not math.isnan(count):
        told.append(SURELY)
        told.append(
            f"It rests on {count_text(count)} scenarios that no earlier step saw; intervals are 95 %, and are of these "
            "scenarios, not of other seeds or bases."
        )
    one = _paired(found, text(won, "label"), "base") if won else Measured()
    if not math.isnan(one.low + one.high):
        half = (one.high - one.low) / 2
        told.append(f"A difference to the base below about {100 * half:.1f} points could not have been told from none.")
    if not math.isnan(one.p):
        told.append(f"A difference as large as this between equals: p {p_text(one.p)}.")
    tried = [row for row in rows(step, "contenders") if truth(row, "tried") is True]
    if len(tried) > 1:
        told.append(f"{len(tried)} members of the front were tried, in their order.")
    tau, error = (
        number(found.step("capability"), "opinion", "tau"),
        number(found.step("capability"), "opinion", "error"),
    )
    if not math.isnan(error):
        order = (
            "" if math.isnan(tau) else f", and its order of domains agrees with the measured one by τ = {signed(tau)}"
        )
        told.append(
            f"The base's own opinion of itself was off by {value_text(error, 2)} on average{order}; it decided nothing."
        )
    return told


def p_text(p: float) -> str:
    """``= 0.030``; ``below 0.001``."""
    return "below 0.001" if p < 0.001 else f"= {value_text(p, 3)}"

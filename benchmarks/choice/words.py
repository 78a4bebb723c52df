"""The choice in plain sentences: the same on the console and on the card of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from benchmarks.choice.asked import PARTLY, Asked
from benchmarks.choice.candidate import Candidate
from benchmarks.choice.changed import GroupChange
from benchmarks.choice.cross_fit.ways import PLAIN
from benchmarks.choice.reading import Cells
from benchmarks.choice.rule import Recommendation
from metrics.value import Value
from reports.format import count_text, interval_text, seconds_text, signed, value_text

SHOWN = 5
"""Candidates that are named in a sentence."""

SURE = 0.9
"""Agreement of the folds' choices with the delivered model below which it is told."""


def short(metric: str) -> str:
    """``fair_res`` for ``fair_res@1``."""
    return metric.split("@")[0]


def limit_words(asked: Asked) -> str:
    """``fair_res ≤ 0.05``."""
    if math.isinf(asked.limit):
        return f"any {short(asked.metric)}"
    return f"{short(asked.metric)} {'≥' if asked.higher else '≤'} {asked.limit:g}"


def condition_words(asked: Asked) -> str:
    """All that is asked, in one phrase."""
    parts = [limit_words(asked)]
    if asked.bound is not None:
        parts.append(f"{short(asked.bound.metric)} ≤ {asked.bound.limit:g}")
    if asked.min_utility is not None:
        parts.append(f"utility ≥ {asked.min_utility:g}")
    if asked.transfer is not None:
        parts.append(f"kept by new rows with probability ≥ {asked.transfer:g}")
    if asked.without_group:
        parts.append("without being told the group")
    return ", ".join(parts)


def recommendation_words(found: Recommendation, cells: Cells, new_rows: int) -> Iterator[str]:
    """What is known before test rows are looked at."""
    if found.best is None:
        yield from _nothing(found, cells)
        return
    best, asked = found.best, found.asked
    yield f"Recommended for {cells.task}: {best.name}{_margin(best)}."
    count = 1 + len(found.rivals)
    others = "it alone keeps" if count == 1 else f"the most useful of {count} candidates that keep"
    yield (
        f"Why: {others} {condition_words(asked)}, when rows are decided that did not choose: "
        f"utility {_estimate_words(best)}, {short(asked.metric)} {best.gap:.3f}{_over(cells)}."
    )
    yield _price(found)
    yield _tied(found)
    yield from _new_rows(best, asked, new_rows)
    yield from _whole(found)
    if best.agreement < SURE:
        yield (
            f"The choice hangs on few rows: what four of five folds choose decides only {best.agreement:.0%} of rows "
            "as the saved model does, whose own numbers may differ from these."
        )
    if asked.metric in PARTLY and best.way != PLAIN:
        yield f"Thresholds bound {short(asked.metric)} in part only: a better set of thresholds may exist."


def _margin(best: Candidate) -> str:
    return "" if best.kappa == 1 else f" (margin: fitted to {best.kappa:g} of the limit)"


def _over(cells: Cells) -> str:
    return "" if len(cells.splits) == 1 else f" (means over {len(cells.splits)} splits)"


def _estimate_words(one: Candidate) -> str:
    return f"{value_text(one.utility.value, 3)} {interval_text(one.utility.low, one.utility.high, 3)}"


def _price(found: Recommendation) -> str:
    free, price = found.free, found.price
    assert price is not None  # there is a recommended one
    if math.isinf(found.asked.limit):
        return f"As they are, {free.method} is the most useful: utility {_estimate_words(free)}."
    if found.best is not None and (found.best.method, found.best.way) == (free.method, PLAIN) and not price.value:
        return "The limit costs nothing: it is what one would take without a limit."
    against = (
        f"against the method {free.method} as it is (utility {value_text(free.utility.value, 3)}, "
        f"{short(found.asked.metric)} {value_text(free.gap, 3)})"
    )
    if price.value >= 0:
        return f"The limit costs no utility: {signed(price.value)} {interval_text(price.low, price.high, 3)} {against}."
    lost = interval_text(-price.high, -price.low, 3)
    return f"What the limit costs: {value_text(-price.value, 3)} {lost} of utility {against}."


def _tied(found: Recommendation) -> str:
    if not found.rivals:
        return "No other candidate keeps it."
    if not found.tied:
        return "All other candidates that keep it are surely less useful (95 %)."
    names = [rival.candidate.name for rival in found.tied]
    more = "" if len(names) <= SHOWN else f" and {len(names) - SHOWN} more"
    text = f"Not separable from it: {', '.join(names[:SHOWN])}{more}."
    simple = found.simplest
    return text if simple is None else f"{text} The cheapest of them is {simple.name} ({cost_words(simple)})."


def cost_words(one: Candidate) -> str:
    """Learnt numbers, seconds, and whether the group must be known."""
    group = "needs the group" if one.needs_group else "needs no group"
    return f"{count_text(one.cost.parameters)} parameters, {seconds_text(one.cost.seconds)} s, {group}"


def _new_rows(best: Candidate, asked: Asked, new_rows: int) -> Iterator[str]:
    if math.isinf(asked.limit):
        return
    low, high = best.foreseen
    yield (
        f"On {new_rows} new rows it keeps the limit with probability {best.probability:.2f}; {short(asked.metric)} is "
        f"foreseen in {interval_text(low, high, 3)} (95 %). A rule without any gap would keep it with "
        f"probability {best.ceiling:.2f}."
    )
    if asked.transfer is None and best.probability < 0.5 < best.ceiling:
        yield "New rows rather break the limit than keep it: --transfer 0.5, or more, asks for a safer model."


def _whole(found: Recommendation) -> Iterator[str]:
    """What remains when the choice among candidates is cross-fitted too."""
    whole, asked = found.whole, found.asked
    if whole is None or not found.rivals or math.isinf(asked.limit):
        return
    if math.isnan(whole.gap):
        yield "The best of many has had luck, too: without some folds nothing would have been chosen at all."
        return
    yield (
        f"The best of many has had luck, too. With the choice itself cross-fitted: utility "
        f"{value_text(whole.utility.value, 3)} {interval_text(whole.utility.low, whole.utility.high, 3)}, "
        f"{short(asked.metric)} {whole.gap:.3f}, kept by new rows with probability {whole.probability:.2f}."
    )


def _nothing(found: Recommendation, cells: Cells) -> Iterator[str]:
    yield f"Nothing of {cells.task} keeps {condition_words(found.asked)}."
    known = [one for one in found.out if not math.isnan(one.gap)]
    if not known:
        first = found.out[0]
        yield f"Nothing can be said of rows that did not choose. {first.name}: {first.excluded}. Ask for less."
        return
    close = known[0]
    yield (
        f"The closest is {close.name}: utility {_estimate_words(close)}, {short(found.asked.metric)} {close.gap:.3f}; "
        f"{close.excluded}."
    )
    if not math.isinf(found.asked.limit):
        yield f"A rule without any gap would keep the limit on new rows with probability {close.ceiling:.2f}."


def changed_words(free: str, changes: Sequence[GroupChange]) -> Iterator[str]:
    """Who is decided differently from the unconstrained choice."""
    rows, moved = sum(c.rows for c in changes), sum(c.gained + c.lost for c in changes)
    yield f"Decided differently from the method {free} as it is: {moved} of {rows} test rows."
    for change in changes if moved else ():
        if change.rows:
            yield f"{change.group}: {change.gained} of {change.rows} rows move from 0 to 1, {change.lost} from 1 to 0."


def test_words(asked: Asked, gap: Value, utility: Value, rows: int, kept: bool | None) -> str:
    """What test rows say, in plain words, also where the limit broke."""
    verdict = "the limit cannot be judged"
    if kept is not None:
        verdict = "the limit is kept" if kept else "THE LIMIT IS BROKEN"
    if math.isinf(asked.limit):
        verdict = "nothing was limited"
    return (
        f"On the {rows} test rows, looked at once, after the choice: {verdict}. {short(asked.metric)} "
        f"{_value(gap)}, utility {_value(utility)}."
    )


def _value(value: Value) -> str:
    if value.status == "not_estimable":
        return f"not estimable ({value.reason})"
    return f"{value_text(value.estimate, 3)} {interval_text(value.low, value.high, 3)}"

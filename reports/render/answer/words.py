"""The answer in words, for the page and the markdown alike: which method, how sure, what it costs whom."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from foundation.words import listing, plural
from reports.answer.answer import Answer
from reports.answer.enough import MOST
from reports.answer.row import AnswerRow
from reports.answer.setting import ALL
from reports.format import interval_text, points_span, points_text, seconds_text, value_text
from reports.levels.transfer import Share
from reports.render.level_words import level_words
from reports.stats.power import smallest_effect
from reports.stats.statistics import Interval

GAPS = {"fair_res@1": "result gap (fair_res)", "dp@1": "demographic parity gap (dp)"}
"""How the bounded gaps are called in the answer."""

NAMED = 3
"""Methods that are named where the data cannot tell them apart; the table marks them all."""


LIMITS, SHARES = {"any": "inf"}, ("half", "quarter")
"""Levels that a command calls otherwise, and those that it cannot be told."""


@dataclass(frozen=True)
class Words:
    """The answer to one question.

    Attributes
    ----------
    name : str
        The recommended method; what is said where there is none.
    reaches, sure, costs : str
        What it does on test rows; how sure that it is the best; what the limit costs, and whom.
    warning : str
        That it broke its limit on test rows, and what kept it; empty where it kept it.
    open : str
        That the run is too small to decide, and what would be enough; empty where it decides.
    """

    name: str
    reaches: str = ""
    sure: str = ""
    costs: str = ""
    warning: str = ""
    open: str = ""


def gap_name(gap: str) -> str:
    """What a bounded gap is called."""
    return GAPS.get(gap, gap)


def where_words(answer: Answer) -> str:
    """``over 15 tasks of 9 sources``, or the task's name and its splits."""
    if answer.setting.task != ALL:
        return f"on {answer.setting.task}, {plural(answer.splits, 'split')}"
    return f"over {plural(answer.tasks, 'task')} of {plural(answer.sources, 'source')}"


def limit_words(answer: Answer) -> str:
    """``result gap (fair_res) ≤ 0.05``, or any gap."""
    level = answer.setting.level
    return "any gap" if level == "any" else f"{gap_name(answer.setting.gap)} {level_words(level)}"


def asked_words(answer: Answer) -> str:
    """What follows the recommended method's name."""
    if answer.best is None:
        return f"Asked for {limit_words(answer)}, {where_words(answer)}."
    return (
        f"is recommended for {limit_words(answer)}, {where_words(answer)}: chosen on validation and out-of-fold rows, "
        "told on test rows."
    )


def choose_command(answer: Answer, tasks: Sequence[str]) -> str:
    """What saves the recommended model, in the page's folder; "" without one or where the limit is a share.

    Over all tasks of the page, which ``tasks`` names, the command says TASK where there are several to take.
    """
    if answer.best is None or answer.setting.level in SHARES:
        return ""
    setting = answer.setting
    task = setting.task if setting.task != ALL else tasks[0] if len(tasks) == 1 else "TASK"
    method = answer.best.contender.method.id
    limit = LIMITS.get(setting.level, setting.level)
    return (
        f"fairmoe choose . --task {shlex.quote(task)} --method {shlex.quote(method)} "
        f"--metric {setting.gap.split('@')[0]} --max-gap {limit}"
    )


def answer_words(answer: Answer) -> Words:
    """All sentences of one answer."""
    best = answer.best
    if best is None:
        return Words(f"No method but a constant answer keeps a {limit_words(answer)} on the rows that choose.")
    return Words(
        best.contender.label, _reaches(best), _sure(answer), _costs(answer, best), _warning(answer, best),
        _open(answer),
    )  # fmt: skip


def _reaches(best: AnswerRow) -> str:
    gap = share_interval(best.gap)
    kept = "" if best.kept is None or best.broken else f" {kept_sentence(best.kept)}"
    return (
        f"Utility {value_text(best.utility.mean)} at a gap of {value_text(best.gap.mean)}{' ' if gap else ''}{gap} on "
        f"test rows.{kept}"
    )


def kept_sentence(share: Share) -> str:
    """How often the limit holds on test rows, beside what could be expected."""
    most = "" if math.isnan(share.ceiling) else f" (a rule without any gap: in {percent(share.ceiling)})"
    return f"The limit holds in {share.kept} of {plural(share.cells, 'test part')}{most}."


def percent(share: float) -> str:
    """``53 %``."""
    return f"{100 * share:.0f} %"


def _sure(answer: Answer) -> str:
    """What the run establishes of the recommended method, and its difference to the next one."""
    following = answer.next
    if following is None or following.lead is None:
        return "No other method keeps the limit on the rows that choose."
    lead = following.lead
    against = f"against {following.contender.label}, which comes next: {difference_words(lead.interval)}"
    if answer.settled:
        return f"Surely better in utility than {_others(len(answer.rivals), 'all')}; {against}."
    if all(row.lead is not None and row.lead.verdict == "one split" for row in answer.open):
        return f"Not known: one split has no interval; {against}."
    surely = len(answer.rivals) - len(answer.open)
    names = listing([row.contender.label for row in answer.open], NAMED)
    if not surely:
        return f"Not separable from {_others(len(answer.rivals), 'any of')} ({names}); {against}."
    who = plural(len(answer.rivals), "other method")
    return f"Of {who}: surely better than {surely}, not separable from {len(answer.open)} ({names}); {against}."


def _others(count: int, each: str) -> str:
    return "the one other method" if count == 1 else f"{each} {count} other methods"


def difference_words(interval: Interval) -> str:
    """``+0.82 points of utility [−1.62, 3.26]``: the recommended method minus a row, of the row's lead over it."""
    span = points_span(-interval.high, -interval.low)
    return f"{points_text(-interval.mean)} points of utility {span}".rstrip()


def _costs(answer: Answer, best: AnswerRow) -> str:
    parts = []
    if answer.price is not None:
        price = answer.price.utility
        spread = f" {span}" if (span := points_span(price.low, price.high)) else ""
        free = answer.price.free.label
        than = "itself" if free == best.contender.label else f"{free}, the choice"
        parts.append(f"{points_text(price.mean)} points of utility{spread} against {than} without a limit")
        worst, before = answer.price.worst, answer.price.free_worst
        if worst is not None and before is not None:
            parts.append(
                f"the group with the lowest accuracy has {_with_interval(worst)} instead of {_with_interval(before)}"
            )
    parts.append("every row's group must be known" if best.needs_group else "no row's group need be known")
    if not math.isnan(best.seconds):
        parts.append(f"{seconds_text(best.seconds)} s to make")
    text = "; ".join(parts) + "."
    return text[0].upper() + text[1:]


def _with_interval(interval: Interval) -> str:
    return f"{value_text(interval.mean)} {share_interval(interval)}".strip()


def share_interval(interval: Interval) -> str:
    """``[0.039, 0.090]`` of a quantity between 0 and 1, cut off there; empty where there is none."""
    return interval_text(max(interval.low, 0.0), min(interval.high, 1.0), 3) if interval.low == interval.low else ""


def _warning(answer: Answer, best: AnswerRow) -> str:
    if not best.broken:
        return ""
    assert best.kept is not None
    most = "" if math.isnan(best.kept.ceiling) else f" (a rule without any gap: {percent(1 - best.kept.ceiling)})"
    said = f"It broke its limit on test rows in {best.broken} of {plural(best.kept.cells, 'test part')}{most}."
    steady = answer.steady
    if steady is None or steady.kept is None:
        return said
    lead = steady.lead
    price = "" if lead is None else f", {points_text(lead.interval.mean)} points of utility"
    return (
        f"{said} {steady.contender.label} held it in {steady.kept.kept} of {steady.kept.cells}{price} (test "
        "rows say so: a description, not a choice)."
    )


def _open(answer: Answer) -> str:
    """What a run is too small for; empty where it decides."""
    following = answer.next
    if following is None or following.lead is None or following.lead.verdict == "worse":
        return ""
    single = answer.sources < 2
    interval = following.lead.interval
    has = plural(answer.splits, "split") if single else plural(answer.sources, "source") + " of data"
    said = f"Too small to decide between the first two: {has}."
    if math.isnan(interval.half):
        return f"{said} Give it at least five splits (--splits 5), or more tasks."
    if interval.low > 0 or interval.high < 0:
        return (
            f"Not settled: the difference to {following.contender.label} would be sure by itself, but not after "
            f"Holm's correction for {plural(len(answer.rivals), 'comparison')}."
        )
    smallest = smallest_effect(interval)
    found = (
        ""
        if math.isnan(smallest)
        else f" A difference of {100 * smallest:.1f} points would have been found 8 times in 10."
    )
    unit = "splits" if single else "sources"
    if answer.enough is not None:
        return f"{said}{found} The difference seen would need about {answer.enough} {unit}."
    if single:
        return f"{said}{found} More splits of the same rows would not be enough: other data would."
    return f"{said}{found} The difference seen is so small that more than {MOST} {unit} would be needed: take either."

"""Which methods can be fitted and scored a block of rows at a time, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.method import Method, Network
from benchmarks.methods.registry import all_methods
from benchmarks.plan.suite import SuiteError
from experts.families.registry import PLAIN

CONSTANT = "constant"
TREES = ("lightgbm", "gbdt_utility")
"""Boosted trees for the log loss, which are tuned on a sample and fitted on all rows in bins of one byte."""


def streams(method: str) -> str:
    """Why a method cannot run in bounded memory, whatever the limit; empty if it can."""
    if method in (CONSTANT, *TREES):
        return ""
    record = all_methods().get(method)
    if record is None or method in baseline_names():
        return "its library takes all rows at once"
    if record.text or record.edges:
        return "it reads rows as texts or as nodes"
    return _own_family(record)


def network_of(method: str) -> Network | None:
    """Role and family of the tuned expert that a method is; None for one that is none."""
    record = all_methods().get(method)
    return record.networks[0] if record is not None and record.tuned else None


def _own_family(record: Method) -> str:
    if record.pool or record.gate:
        return "its members are trained on folds, which need all training rows"
    if not record.tuned:
        return "it repeats another method's training, which is not kept for streamed rows"
    if any(family != PLAIN for _, family in record.networks):
        return "its family is fitted on all rows at once"
    return ""


def streamed_methods(
    wanted: Iterable[str], *, named: bool, lacks: Callable[[str], str] = lambda _: ""
) -> tuple[list[str], dict[str, list[str]]]:
    """The methods that run, and the others by the reason why they do not.

    Parameters
    ----------
    wanted : iterable of str
        Methods of a suite.
    named : bool
        Whether somebody asked for each of them.
    lacks : callable, optional
        From a method that could run to what it lacks here, such as memory; empty if nothing.

    Raises
    ------
    SuiteError
        If a method that was asked for cannot run, or none can.
    """
    run, left = [], dict[str, list[str]]()
    for method in wanted:
        reason = streams(method) or lacks(method)
        if reason:
            left.setdefault(reason, []).append(method)
        else:
            run.append(method)
    if not run or (named and left):
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in left.items())
        able = [name for name in (*all_methods(), CONSTANT) if not (streams(name) or lacks(name))]
        raise SuiteError(
            f"With --max-memory these methods cannot run ({reasons}). Leave them out, or name others: "
            f"--method {' --method '.join(dict.fromkeys(able))}; or run them without --max-memory, on fewer rows."
        )
    return run, left

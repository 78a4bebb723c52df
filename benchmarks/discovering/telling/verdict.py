"""What a discovery came to, in sentences: are experts and mixture better than the base, by how much, how surely?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Results = Mapping[str, Mapping[str, Any]]


def verdict(results: Results) -> list[str]:
    """A line each for experts, the winner against its rivals, what it cost elsewhere, what stayed, and the gates."""
    examined = results["6_examination"]
    return [
        *(_of_expert(row) for row in examined["domains"] if row.get("expert")),
        _of_winner(examined),
        *_of_rivals(examined),
        *_of_cost(examined),
        *_of_preserved(results["7_preserve"]),
        _of_gates(results["8_gates"]),
    ]


def _of_expert(row: Mapping[str, Any]) -> str:
    return f"{row['expert']} on {row['domain']}: {_judged(row.get('gain') or {}, 'the base')}"


def _of_winner(examined: Mapping[str, Any]) -> str:
    if examined["accepted"]:
        return f"The examination accepts {examined['winner']}."
    objections = [text for one in examined["contenders"] for text in one.get("objections", ())]
    why = f" (for one: {objections[0]})" if objections else ""
    return f"The examination accepts no mixture{why}; what is left is {examined['winner']}."


def _of_rivals(examined: Mapping[str, Any]) -> Iterator[str]:
    for row in examined["paired"]:
        found = {"estimate": row["difference"], "low": row["low"], "high": row["high"], "p": row.get("p")}
        apart = "" if row.get("keeps", True) else " (a rival that breaks a constraint)"
        yield f"{row['label']} against {row['rival']}: {_judged(found, 'it')}{apart}"


def _of_cost(examined: Mapping[str, Any]) -> Iterator[str]:
    lost = [row for row in examined["domains"] if (row.get("winner_gain") or {}).get("high", 0) is not None
            and (row.get("winner_gain") or {}).get("high", 0) < 0]  # fmt: skip
    for row in lost:
        yield f"It costs {row['domain']}: {_points(row['winner_gain'])}"
    if not lost:
        yield "No domain is surely worse than with the base."


def _of_preserved(found: Mapping[str, Any]) -> Iterator[str]:
    for task in found.get("tasks", ()):
        if task["preserved"] is None:
            yield f"{task['name']} has nothing to lose: {100 * task['before']:.0f} of 100 are right with the base"
            continue
        word = "is preserved" if task["preserved"] else "is NOT shown to be preserved"
        yield f"{task['name']} {word}: {_change(task)}"


def _change(task: Mapping[str, Any]) -> str:
    """How a task changed, with its interval and margin: shares in points, log-probabilities in nats a token."""
    if task["kind"] != "perplexity":
        numbers = {"estimate": task["difference"], "low": task["low"], "high": task["high"]}
        return f"{_points(numbers)}, margin {100 * abs(task['margin']):.0f} points"
    span = f"[{task['low']:+.3f}, {task['high']:+.3f}]"
    return f"{task['difference']:+.3f} nats a token {span}, margin {abs(task['margin']):g} nats"


def _of_gates(found: Mapping[str, Any]) -> str:
    return f"Gates: {found['passed']} passed, {found['failed']} failed, {found['unmeasured']} not measured."


def _judged(gain: Mapping[str, Any], rival: str) -> str:
    if gain.get("estimate") is None:
        return "not measured"
    low, high = gain.get("low"), gain.get("high")
    if low is None or high is None:
        return f"{_points(gain)}, how surely is not known"
    word = f"better than {rival}" if low > 0 else f"worse than {rival}" if high < 0 else f"not told apart from {rival}"
    return f"{word}, {_points(gain)}"


def _points(gain: Mapping[str, Any]) -> str:
    """A difference of shares in points of 100, with its interval."""
    low, high = gain.get("low"), gain.get("high")
    shown = f"{100 * gain['estimate']:+.1f} points"
    return shown if low is None or high is None else f"{shown} [{100 * low:+.1f}, {100 * high:+.1f}]"

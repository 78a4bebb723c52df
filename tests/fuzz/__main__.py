"""``python -m tests.fuzz``: many thousand inputs of users, each accepted or refused in one paragraph."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.inputs import STRATEGIES
from tests.fuzz.targets import TARGETS, Broken, judge

SHARES = {
    "tables": 0.04, "rows": 0.06, "cards": 0.15, "predictions": 0.25, "suites": 0.25, "manifests": 0.15,
    "packages": 0.1,
}  # fmt: skip
"""Share of each kind: a table costs a hundred times a suite."""
CHUNK = 500


def campaign(kind: str, count: int, base: int, keep: Path | None) -> tuple[Counter[str], list[str]]:
    """Outcomes of ``count`` inputs of a kind, and what broke; every chunk has a seed of its own."""
    outcomes: Counter[str] = Counter()
    broken: list[str] = []
    started, number = time.monotonic(), 0
    while (done := outcomes.total()) < count:
        _chunk(kind, min(CHUNK, count - done), base * 1_000_003 + number, outcomes, broken, keep)
        number += 1
        rate = outcomes.total() / (time.monotonic() - started)
        print(f"\r{kind}: {outcomes.total():,} of {count:,}, {rate:.0f}/s, {len(broken)} broken", end="", flush=True)
    print()
    return outcomes, broken


def _chunk(kind: str, count: int, number: int, outcomes: Counter[str], broken: list[str], keep: Path | None) -> None:
    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(STRATEGIES[kind])
    def one(data: bytes) -> None:
        try:
            outcomes[judge(TARGETS[kind], data)] += 1
        except Broken as error:
            outcomes["broken"] += 1
            cause = error.__cause__
            place = traceback.extract_tb(cause.__traceback__)[-1] if cause else None
            broken.append(f"{error} ({place.filename}:{place.lineno})" if place else str(error))
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}-{len(broken)}").write_bytes(data)

    one()


def main() -> int:
    """Run the campaign; the exit code is 1 if anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, over all kinds")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs")
    parser.add_argument("--kind", choices=sorted(TARGETS), action="append", help="only these kinds")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that broke something")
    asked = parser.parse_args()
    kinds = asked.kind or list(SHARES)
    total = sum(SHARES[kind] for kind in kinds)
    failed = 0
    for kind in kinds:
        outcomes, broken = campaign(kind, round(asked.inputs * SHARES[kind] / total), asked.seed, asked.keep)
        print("  " + ", ".join(f"{name} {count:,}" for name, count in outcomes.most_common()))
        for text, count in Counter(text[:600] for text in broken).most_common(20):
            print(f"  BROKEN {count} x {text}")
        failed += len(broken)
    print(f"{failed} broken" if failed else "every input was accepted or refused in one paragraph")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

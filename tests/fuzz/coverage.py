"""``python -m tests.fuzz.coverage manifests --runs 500000``: fuzzing that is led by the lines that inputs reach.

Needs Atheris, which ``tox -e fuzz-coverage`` installs and nothing else depends on. The seeds are the attack table's
packages; an input that breaks the promise ends the run and is kept as ``crash-...``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any


def main() -> None:
    """Run until ``--runs`` inputs were tried or one broke the promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.coverage", description=main.__doc__)
    parser.add_argument("kind", choices=("manifests", "packages"))
    parser.add_argument("--runs", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    parser.add_argument("--seconds", type=int, default=0, help="end after this long; 0 is never")
    parser.add_argument(
        "--corpus", type=Path, help="folder whose inputs are seeds too; what reaches new lines is kept there"
    )
    asked = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["artefacts"]):
        from tests.artefacts.test_attacks import ATTACKS, GOOD
        from tests.fuzz.packages import sound
        from tests.fuzz.targets import TARGETS, judge
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as corpus:
        packages = [*sound(), *(make() for _, make in ATTACKS.values())]
        for number, data in enumerate(packages if asked.kind == "packages" else _manifests(packages, GOOD)):
            (Path(corpus) / str(number)).write_bytes(data)

        def one(data: bytes) -> None:
            outcomes[judge(TARGETS[asked.kind], data)] += 1
            if outcomes.total() % 10_000 == 0:
                print(f"{asked.kind}: {outcomes.total():,} inputs, {dict(outcomes)}", flush=True)

        options: list[Any] = [f"-runs={asked.runs}", f"-seed={asked.seed}", "-max_len=20000", "-print_final_stats=1"]
        if asked.seconds:
            options.append(f"-max_total_time={asked.seconds}")
        if asked.corpus:
            asked.corpus.mkdir(parents=True, exist_ok=True)
        kept = [str(asked.corpus)] if asked.corpus else []
        atheris.Setup([sys.argv[0], *options, *kept, corpus], one)
        atheris.Fuzz()


def _manifests(packages: list[bytes], good: bytes) -> list[bytes]:
    """What lies between the braces of the attack table's manifests."""
    found = [good]
    for data in packages:
        start, stop = data.find(b'{"author"'), data.rfind(b"}")
        if 0 <= start < stop <= start + 20_000:
            found.append(data[start : stop + 1])
    return found


if __name__ == "__main__":
    main()

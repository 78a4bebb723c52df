"""``python -m tests.fuzz.coverage manifests --runs 500000``: fuzzing that is led by the lines that inputs reach.

Of ``packages`` half have the checksums of their headers put right again, and ``weights`` are put into a package that
agrees with them: what is behind a checksum or a hash is reached too.

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
    parser.add_argument("kind", choices=("manifests", "packages", "weights"))
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
        from tests.fuzz.packages import WEIGHTS_FILE, holding, resealed_all, sound
        from tests.fuzz.targets import TARGETS, judge
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as corpus:
        packages = [*sound(), *(make() for _, make in ATTACKS.values())]
        seeds = {"manifests": lambda: _manifests(packages, GOOD), "packages": lambda: packages, "weights": _weights}
        for number, data in enumerate(seeds[asked.kind]()):
            (Path(corpus) / str(number)).write_bytes(data)
        target = TARGETS["manifests" if asked.kind == "manifests" else "packages"]

        def mutated(data: bytes, longest: int, seed: int) -> bytes:
            changed: bytes = atheris.Mutate(data, longest)
            return resealed_all(changed) if asked.kind == "packages" and seed % 2 else changed

        def one(data: bytes) -> None:
            outcomes[judge(target, holding(WEIGHTS_FILE, data) if asked.kind == "weights" else data)] += 1
            if outcomes.total() % 10_000 == 0:
                print(f"{asked.kind}: {outcomes.total():,} inputs, {dict(outcomes)}", flush=True)

        options: list[Any] = [f"-runs={asked.runs}", f"-seed={asked.seed}", "-max_len=20000", "-print_final_stats=1"]
        if asked.seconds:
            options.append(f"-max_total_time={asked.seconds}")
        if asked.corpus:
            asked.corpus.mkdir(parents=True, exist_ok=True)
        kept = [str(asked.corpus)] if asked.corpus else []
        atheris.Setup([sys.argv[0], *options, *kept, corpus], one, custom_mutator=mutated)
        atheris.Fuzz()


def _manifests(packages: list[bytes], good: bytes) -> list[bytes]:
    """What lies between the braces of the attack table's manifests."""
    found = [good]
    for data in packages:
        start, stop = data.find(b'{"author"'), data.rfind(b"}")
        if 0 <= start < stop <= start + 20_000:
            found.append(data[start : stop + 1])
    return found


def _weights() -> list[bytes]:
    """Safetensors files: a sound one, and those of the attack table."""
    from tests.artefacts.making import WEIGHTS
    from tests.artefacts.test_attacks import ATTACKS
    from tests.fuzz.packages import WEIGHTS_FILE

    found = [WEIGHTS]
    for _, make in ATTACKS.values():
        data = make()
        at = data.find(WEIGHTS_FILE.encode().ljust(100, b"\0"))
        if at >= 0 and at % 512 == 0:
            size = int(data[at + 124 : at + 135], 8)
            found.append(data[at + 512 : at + 512 + size])
    return found


if __name__ == "__main__":
    main()

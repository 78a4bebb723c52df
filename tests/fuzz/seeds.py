"""What fuzzing led by coverage has found: for every way of a refusal its shortest input, kept for the tests.

``python -m tests.fuzz.seeds packages CORPUS`` adds those of a corpus (``tests.fuzz.coverage --corpus``) to
``seeds.jsonl``, a line each: the kind, the reason, and the bytes, packed and in base64.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from artefacts.format.error import PackageError
from foundation.files import atomic_path
from tests.fuzz.packages import WEIGHTS_FILE, holding
from tests.fuzz.targets import TARGETS, judge, workplace

FILE = Path(__file__).with_name("seeds.jsonl")
ACCEPTED = "accepted"
LONGEST_LINE = 6_000
"""Bytes of a line beyond which an input is not kept: what is short shows the same."""


class Seed(NamedTuple):
    """An input and the reason of its refusal, or ``accepted``."""

    kind: str
    reason: str
    data: bytes

    def line(self) -> str:
        """As it stands in the file."""
        packed = base64.b64encode(zlib.compress(self.data, 9)).decode()
        return json.dumps({"kind": self.kind, "reason": self.reason, "data": packed}) + "\n"


def read_seeds() -> list[Seed]:
    """All that are kept."""
    if not FILE.is_file():
        return []
    lines = map(json.loads, FILE.read_text(encoding="utf-8").splitlines())
    return [Seed(one["kind"], one["reason"], zlib.decompress(base64.b64decode(one["data"]))) for one in lines]


def answer(kind: str, data: bytes) -> tuple[str, str]:
    """The reason, and the text without names and numbers; ``accepted`` twice for what is accepted.

    Raises
    ------
    tests.fuzz.targets.Broken
        If the promise of :func:`tests.fuzz.targets.judge` is not kept.
    """
    if judge(TARGETS[kind], data) == ACCEPTED:
        return ACCEPTED, ACCEPTED
    try:
        TARGETS[kind](data, workplace())
    except PackageError as error:
        return error.reason, re.sub(r"'[^']*'|\"[^\"]*\"|\S*[^a-zA-Z\s.,:;()]\S*", "", str(error))
    raise AssertionError(f"{kind}: refused once, accepted then")


def keep(kind: str, inputs: Iterable[bytes]) -> list[Seed]:
    """Add the shortest input of every way that is not kept yet, or is kept longer."""
    seeds = {(one.kind, answer(one.kind, one.data)[1]): one for one in read_seeds()}
    for data in inputs:
        reason, words = answer(kind, data)
        seed = Seed(kind, reason, data)
        if len(seed.line()) <= LONGEST_LINE and len(data) < len(
            seeds.get((kind, words), Seed("", "", b"x" * 2**20)).data
        ):
            seeds[kind, words] = seed
    found = sorted(seeds.values(), key=lambda one: (one.kind, one.reason, len(one.data), one.data))
    with atomic_path(FILE) as temporary:
        temporary.write_text("".join(one.line() for one in found), encoding="utf-8")
    return found


def main() -> None:
    """Keep what a corpus has more."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.seeds", description=main.__doc__)
    parser.add_argument("kind", choices=("manifests", "packages", "weights"))
    parser.add_argument("corpus", type=Path, help="folder of inputs")
    asked = parser.parse_args()
    inputs = (path.read_bytes() for path in sorted(asked.corpus.iterdir()))
    if asked.kind == "weights":
        found = keep("packages", (holding(WEIGHTS_FILE, data) for data in inputs))
    else:
        found = keep(asked.kind, inputs)
    print(f"{len(found)} inputs are kept in {FILE}")


if __name__ == "__main__":
    main()

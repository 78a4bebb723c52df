"""``python -m benchmarks.speed``: every speed benchmark, or those named, one after the other.

``python -m benchmarks.speed training --large``: options behind the names go to each of the named.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from benchmarks.run.failure import paragraphs

BENCHMARKS = {
    path.stem: f"benchmarks.speed.{path.parent.name}.{path.stem}"
    for path in sorted(Path(__file__).parent.glob("*/*.py"), key=lambda path: path.stem)
    if path.stem != "__init__"
}
"""Modules by the names that they are called by; every room is looked through."""


def main(arguments: list[str]) -> None:
    """Run the named benchmarks, all when none is named; what follows from the first option on is theirs."""
    first = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    names, options = arguments[:first], arguments[first:]
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.exit(f"There is no speed benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
    for name in names or BENCHMARKS:
        print(f"== {name}")
        sys.argv = [name, *options]
        with paragraphs(name):
            runpy.run_module(BENCHMARKS[name], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])

"""``python -m benchmarks.speed``: every speed benchmark, or those named, one after the other."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

BENCHMARKS = tuple(
    sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "__main__", "timing"))
)


def main(names: list[str]) -> None:
    """Run the named benchmarks, all when none is named."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"There is no speed benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}.")
    for name in names or BENCHMARKS:
        print(f"== {name}")
        sys.argv = [name]
        runpy.run_module(f"benchmarks.speed.{name}", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])

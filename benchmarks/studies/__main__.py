"""``python -m benchmarks.studies NAME ...``: one study, with its own arguments; without a name, which there are."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.run.failure import paragraphs

FOLDER = Path(__file__).parent
STUDIES = tuple(sorted(p.stem for p in FOLDER.glob("*.py") if not p.stem.startswith("_")))


def about(name: str) -> str:
    """First line of a study's docstring; nothing is imported."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def listing() -> str:
    """Every study with what it is about."""
    width = max((len(name) for name in STUDIES), default=0)
    return "\n".join(f"  {name:{width}}  {about(name)}" for name in STUDIES)


def main(argv: Sequence[str]) -> None:
    """Run the study that the first argument names with the arguments after it.

    Every study is a file of this folder with ``main(argv)``. It takes ``--help``.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{str(__doc__).replace('`', '')}\n\n{listing()}")
        return
    if argv[0] not in STUDIES:
        sys.exit(f"There is no study {argv[0]!r}; there are\n{listing()}")
    with paragraphs(argv[0]):
        importlib.import_module(f"benchmarks.studies.{argv[0]}").main(list(argv[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What the project and its libraries remark while a job runs: in a file of the job, not over the progress bars."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

FILE = "notes.txt"
"""In the job's folder; the remarks of its last attempt, one a line."""


@contextmanager
def notes_kept(home: Path) -> Iterator[None]:
    """Within the body, log records from WARNING on and Python warnings go to ``home/notes.txt``.

    A filter that makes a warning an error does so here too.
    """
    path = home / FILE
    path.unlink(missing_ok=True)
    handler = _NotesHandler(path)
    root, shown = logging.getLogger(), warnings.showwarning
    root.addHandler(handler)
    warnings.showwarning = handler.note_warning
    try:
        yield
    finally:
        warnings.showwarning = shown
        root.removeHandler(handler)
        handler.close()


def notes_of(homes: Iterable[Path]) -> dict[Path, list[str]]:
    """Remarks by the file that holds them; jobs without any are left out."""
    files = [home / FILE for home in homes]
    return {path: path.read_text(encoding="utf-8").splitlines() for path in files if path.is_file()}


class _NotesHandler(logging.Handler):
    """Appends one line per record; the file and its folder appear with the first."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; the text of an exception follows on the same line."""
        try:
            self._write(self.format(record))
        except OSError:
            self.handleError(record)

    def note_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002 - the signature of warnings.showwarning
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        """Write one Python warning."""
        self._write(f"{category.__name__}: {message} ({Path(filename).name}:{lineno})")

    def _write(self, text: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(" ".join(text.split()) + "\n")

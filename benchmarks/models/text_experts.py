"""Text experts by whatever people call them: a folder, the name of an installed one, or a ``.expert`` file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.models.packages import opened_expert
from benchmarks.saving.layout import EXPERT, MODEL


@contextmanager
def text_expert_folders(which: Sequence[str], *, allow_untrusted: bool = False) -> Iterator[list[Path]]:
    """Folders of experts or adapters, which stay until the end; packages are checked before they are read.

    Parameters
    ----------
    which : sequence of str
        Each the folder of an expert or of a saved model, the name of an installed expert, or a ``.expert`` file.
    allow_untrusted : bool
        As for :func:`benchmarks.models.load_expert`.

    Raises
    ------
    PackageError, RegistryError
        As for :func:`benchmarks.models.load_expert`.
    """
    with ExitStack() as stack:
        yield [_folder(stack, one, allow_untrusted) for one in which]


def _folder(stack: ExitStack, which: str, allow_untrusted: bool) -> Path:
    path = Path(which)
    if path.is_dir() or ("/" in which and not path.is_file()):  # what is not there is told by whoever reads it
        return _expert_in(path)
    return _expert_in(stack.enter_context(opened_expert(which, allow_untrusted=allow_untrusted)).folder)


def _expert_in(folder: Path) -> Path:
    """A saved model keeps its expert in a folder of its own."""
    return folder / EXPERT if (folder / MODEL).is_file() else folder

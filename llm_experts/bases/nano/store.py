"""Where nano is kept: one folder per identity, whole or absent.

The identity is a hash of everything that the pretraining depends on: this package's source, the settings, the words of
the cards' schemas, the templates of rows and the corpus files. Another word in a card is another nano.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_experts.bases.error import BaseError
from llm_experts.bases.nano.schema import as_json, card_subjects
from llm_experts.bases.nano.settings import Settings

if TYPE_CHECKING:
    from llm_experts.bases.nano.pretrain import Report
    from llm_experts.bases.nano.schema import Subject

log = logging.getLogger(__name__)

SOURCES = (
    "architecture.py",
    "corpus.py",
    "examination.py",
    "network.py",
    "optimiser.py",
    "populations.py",
    "pretrain.py",
    "schema.py",
    "settings.py",
    "tokenizer.py",
)
"""Files of this package that decide what the model is."""
FACTS = "facts.json"


def nano_hash(corpora: Sequence[str | Path] = (), settings: Settings | None = None) -> str:
    """sha256 of all that the pretraining depends on; needs no weights.

    Raises
    ------
    BaseError
        If a corpus file cannot be read.
    """
    return _identity(settings or Settings(), card_subjects(), _corpora(corpora))


def ensure_nano(
    cache: str | Path | None = None,
    progress: Callable[[Report], None] | None = None,
    corpora: Sequence[str | Path] = (),
    settings: Settings | None = None,
) -> Path:
    """The folder of a pretrained nano, pretrained now if it is not in the cache.

    Parameters
    ----------
    cache : str or Path, optional
        Cache folder; default: ``FAIRMOE_CACHE``, else the user's cache folder.
    progress : callable, optional
        Called with a ``Report`` after every step of the pretraining.
    corpora : sequence of str or Path
        Text files (UTF-8, may be gzipped) that it reads beside the generated texts.
    settings : Settings, optional
        Another budget or shape than the default.

    Returns
    -------
    Path
        Folder with config.json, model.safetensors, the tokenizer, curve.csv and facts.json.

    Raises
    ------
    BaseError
        If a corpus file cannot be read, or the cache cannot be written.
    """
    from filelock import FileLock

    chosen, subjects, files = settings or Settings(), card_subjects(), _corpora(corpora)
    identity = _identity(chosen, subjects, files)
    folder = _home(cache) / identity[:16]
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not is_whole(folder):  # another process may have made it while this one waited
                _make(folder, identity, chosen, subjects, files, progress)
    except OSError as error:
        raise BaseError(
            f"nano cannot be kept in {folder.parent} ({error}); name a folder that can be written with --cache or the "
            "environment variable FAIRMOE_CACHE."
        ) from error
    return folder


def nano_facts(folder: Path) -> dict[str, Any]:
    """What is known about a pretrained nano.

    Returns
    -------
    dict
        ``path``, ``hash`` (identity), ``parameters``, ``vocabulary``, ``tokens`` (read in training), ``steps``,
        ``seconds``, ``loss_first`` and ``loss_last`` (nats per predicted token), ``examination`` (family → questions,
        accuracy, constant) and ``settings``.

    Raises
    ------
    BaseError
        If there is no whole nano in the folder.
    """
    if not is_whole(folder):
        raise BaseError(f"There is no pretrained nano in {folder}; 'fairmoe llm base' makes one.")
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    del facts["files"]
    return {"path": str(folder), **facts}


def is_whole(folder: Path) -> bool:
    """Whether a folder has every file that was written, unchanged."""
    from foundation.hashing import hash_file

    try:
        files = json.loads((folder / FACTS).read_text(encoding="utf-8"))["files"]
        return all(hash_file(folder / name) == digest for name, digest in files.items())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, KeyError):
        return False


def _make(
    folder: Path,
    identity: str,
    settings: Settings,
    subjects: tuple[Subject, ...],
    corpora: tuple[Path, ...],
    progress: Callable[[Report], None] | None,
) -> None:
    from foundation.files import atomic_path, write_json
    from foundation.hashing import hash_file
    from llm_experts.bases.nano.pretrain import pretrain

    log.info("Pretraining nano into %s", folder)
    work = folder.with_suffix(".work")
    with atomic_path(folder) as temporary:
        facts = pretrain(settings, temporary, subjects, corpora=corpora, work=work, progress=progress)
        files = {p.name: hash_file(p) for p in sorted(temporary.iterdir()) if p.name != FACTS}
        write_json(temporary / FACTS, {**facts, "hash": identity, "files": files})
    shutil.rmtree(work, ignore_errors=True)


def _home(cache: str | Path | None) -> Path:
    from tasks.fetch import cache_folder

    return (Path(cache) if cache else cache_folder()) / "nano"


def _corpora(files: Sequence[str | Path]) -> tuple[Path, ...]:
    found = tuple(map(Path, files))
    for path in found:
        if not path.is_file():
            raise BaseError(f"There is no corpus file {path}; give the path of a text file (UTF-8, may end in .gz).")
    return found


def _identity(settings: Settings, subjects: tuple[Subject, ...], corpora: Sequence[Path]) -> str:
    from foundation.hashing import hash_file
    from tasks.templates import FORMATS, UNKNOWN

    digest = hashlib.sha256()
    here = Path(__file__).parent
    for name in SOURCES:
        digest.update((here / name).read_bytes())
    templates = {name: dataclasses.astuple(style) for name, style in FORMATS.items()}
    words = [dataclasses.asdict(settings), templates, UNKNOWN, [hash_file(path) for path in corpora]]
    digest.update(json.dumps(words, sort_keys=True).encode())
    digest.update(as_json(subjects).encode())
    return digest.hexdigest()

"""What lies in a discovery's folder: results of steps, what they were made of, and the record of the whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.sizing.sizes import Rates
from foundation.files import write_json
from foundation.hashing import hash_json
from foundation.numbers import finite, finite_dict

RECORD, RESULT, INPUTS = "discovery.json", "result.json", "inputs.json"
FORMAT = 1
TIMES = ("seconds", "items_a_minute")
"""Keys of results that tell how long things took: no comparison looks at them."""
RATES = {known.name for known in fields(Rates)}
TIMED = "timed"
"""Marks a part of a result whose ``value`` and ``passed`` follow from a clock."""


def without_times(found: Any) -> Any:
    """A result without what follows from a clock: the same on every run of the same settings on one machine."""
    if isinstance(found, Mapping):
        left = (*TIMES, "value", "passed", "reason") if found.get(TIMED) is True else TIMES
        return {key: without_times(value) for key, value in found.items() if key not in left}
    return [without_times(item) for item in found] if isinstance(found, (list, tuple)) else found


def result_hash(result: Mapping[str, Any]) -> str:
    """Hash of a result without its times."""
    return hash_json(without_times(result))


@dataclass(frozen=True)
class StepFolder:
    """The folder of one step.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def result(self, inputs: str) -> dict[str, Any] | None:
        """The result that was made of these inputs; None where there is none.

        Raises
        ------
        DiscoverError
            If the file is damaged, or was changed since it was written.
        """
        found = _json_in(self.path / RESULT)
        if found is None or found.get("inputs_hash") != inputs:
            return None
        noted = (_json_in(self.path / INPUTS) or {}).get("result_hash")
        if noted is not None and noted != _hash_of(found):  # a writer that died before noting it has noted none
            raise DiscoverError(
                f"{self.path / RESULT} is not as it was written: somebody has changed it since. Put it back as it was. "
                f"Or remove the folder {self.path}: the same command then does this step again."
            )
        return found

    def begin(self, inputs: str) -> bool:
        """Make the folder ready for these inputs; whether work that was made of others was removed."""
        noted = _json_in(self.path / INPUTS)
        stale = self.path.exists() and (noted or {}).get("inputs_hash") != inputs
        if stale:
            self.remove()
        else:
            (self.path / RESULT).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / INPUTS, {"inputs_hash": inputs})
        return stale

    def end(self, inputs: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Write the result, which says that the step is done, and give it as it was written."""
        whole = finite_dict({**result, "inputs_hash": inputs})
        write_json(self.path / RESULT, whole)
        found: dict[str, Any] = json.loads(json.dumps(whole))  # what a resumed run reads is what this one goes on with
        write_json(self.path / INPUTS, {"inputs_hash": inputs, "result_hash": _hash_of(found)})
        return found

    def remove(self) -> None:
        """Remove the step's work.

        Raises
        ------
        DiscoverError
            If its place is taken by something that is no folder, or a link; that is nobody's work of this kind.
        """
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise DiscoverError(
                f"{self.path} is no folder, and a step of a discovery writes there. Move it away, or give another "
                "folder with --output."
            )
        if self.path.exists():
            shutil.rmtree(self.path)


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a discovery; empty where there is none.

    Raises
    ------
    DiscoverError
        If it is damaged, or of a later version.
    """
    found = _json_in(folder / RECORD) or {}
    if found.get("format", FORMAT) != FORMAT:
        raise DiscoverError(
            f"{folder / RECORD} is of format {found['format']}, and this fairmoe writes {FORMAT}. Give another folder "
            "with --output, or use the fairmoe that wrote it."
        )
    if "planned" in found and not _is_planned(found["planned"]):
        raise DiscoverError(
            f"{folder / RECORD} is damaged: its sizes ('planned') are none. Remove the file; the same command writes "
            "it again, and what steps have done is kept where their sizes are the same."
        )
    return found


def _is_planned(found: Any) -> bool:
    """Whether these are sizes by name, all of them counts, also of every step, with numbers beside them."""
    if not isinstance(found, dict):
        return False
    steps, rates = found.get("steps", {}), found.get("rates")
    return (
        _are_sizes(found.get("sizes"))
        and isinstance(steps, dict)
        and all(map(_are_sizes, steps.values()))
        and (
            rates is None or (isinstance(rates, dict) and set(rates) == RATES and all(map(_is_number, rates.values())))
        )
        and _is_number(found.get("factor", 1.0))
    )


def _are_sizes(found: Any) -> bool:
    return isinstance(found, dict) and all(type(size) is int and size > 0 for size in found.values())


def _are_rates(found: Any) -> bool:
    return isinstance(found, dict) and set(found) == RATES and all(map(_is_number, found.values()))


def _is_number(found: Any) -> bool:
    return type(found) in (int, float) and found >= 0


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a discovery."""
    write_json(folder / RECORD, finite({"format": FORMAT, **record}))


def note_places(folder: Path, package: str | None, page: str) -> None:
    """Have the record say where package and page lie, by their names in the folder."""
    write_record(folder, {**read_record(folder), "package": package, "page": page})


def _hash_of(result: Mapping[str, Any]) -> str:
    """Hash of a result with its times, as text: what was edited to NaN has one, too."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()


def _json_in(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise DiscoverError(f"{path} is damaged ({error}). {_remedy(path)}") from error
    if not isinstance(found, dict):
        raise DiscoverError(f"{path} holds a {type(found).__name__}, not an object. {_remedy(path)}")
    return found


def _remedy(path: Path) -> str:
    """What to remove: a step's folder, but of the whole only the record, which steps can do without."""
    if path.name == RECORD:
        return f"Remove the file {path}: the same command writes it again, and steps that are done stay so."
    return f"Remove the folder {path.parent}; the same command makes it again."

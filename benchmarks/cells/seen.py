"""What a finished cell says of the rows that choose: with it a model is chosen later, for any limit, by the same rules.

No labels are stored, and nothing of test rows: those are looked at once, after a choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from foundation.files import atomic_path
from foundation.tensor_facts import facts_of, header_of

FILE = "seen.safetensors"

FORMAT = "fairmoe-seen/1"


class SeenError(ValueError):
    """A cell without what its method says of the rows that choose."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Predictions of one method for the rows that choose.

    Attributes
    ----------
    validation : [v] float32
        Probabilities of class 1 of the chosen model on validation rows, in the order of the split.
    trained : [K, v] float32 or None
        The same of every trained configuration; a failed one is a row of nan. None where there is only the chosen one.
    trials : tuple of K int
        Their numbers in the study, as in the tables "levels" and "trials".
    oof : [n] float32 or None
        Margins of the chosen configuration refitted on folds, each row by the model that has not seen it, in the order
        of :func:`experts.bagging.bag_rows` (training rows, then validation rows). None where it cannot be refitted.
    own_bag : bool
        Whether the chosen model is itself the bag that ``oof`` is of.
    fold : [n] int64 or None
        The fold that each of these rows was held out in; None where it is not known.
    members : [m, n] float32 or None
        Margins of the members of the method's decision problem on the same rows; None for what has no decision layer.
    roles : tuple of m str
        Of the members.
    """

    validation: Tensor
    trained: Tensor | None = None
    trials: tuple[int, ...] = ()
    oof: Tensor | None = None
    own_bag: bool = False
    fold: Tensor | None = None
    members: Tensor | None = None
    roles: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write ``seen.safetensors`` into a folder: numbers as float32, folds as whole numbers of two bytes."""
        numbers = {"validation": self.validation, "trained": self.trained, "oof": self.oof, "members": self.members}
        found = {name: part.detach().float().contiguous() for name, part in numbers.items() if part is not None}
        if self.fold is not None:
            found["fold"] = self.fold.to(torch.int16)
        facts = {
            "format": FORMAT, "trials": list(self.trials), "own_bag": self.own_bag, "roles": list(self.roles),
        }  # fmt: skip
        with atomic_path(folder / FILE) as temporary:
            save_file(found, temporary, metadata=header_of(facts))


def read_seen(folder: Path) -> Seen:
    """Read what a finished cell says of the rows that choose.

    Parameters
    ----------
    folder : Path
        Of a cell of seed 0.

    Raises
    ------
    SeenError
        If the cell has none: an earlier version has computed it, it is of a further seed, or storing it failed.
    """
    path = folder / FILE
    if not path.is_file():
        raise SeenError(
            f"The cell {folder.name} does not hold what its method says of the rows that choose ({FILE}), so nothing "
            f"can be chosen from it: {_why(folder)}. Run the same bench command again with this version."
        )
    with safe_open(path, framework="pt") as file:
        facts = _facts(file.metadata() or {})
        numbers = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file, not a mapping
    if facts.get("format") != FORMAT:
        raise SeenError(
            f"{path} has the format {facts.get('format')!r}; this version reads {FORMAT!r}. Run the same bench command "
            "again with this version."
        )
    return Seen(
        validation=numbers["validation"],
        trained=numbers.get("trained"),
        trials=tuple(facts["trials"]),
        oof=numbers.get("oof"),
        own_bag=facts["own_bag"],
        fold=numbers["fold"].to(torch.int64) if "fold" in numbers else None,
        members=numbers.get("members"),
        roles=tuple(facts["roles"]),
    )


def _facts(header: Mapping[str, str]) -> dict[str, Any]:
    """Those of this version, or one by one, as earlier versions wrote them."""
    found = facts_of(header)
    return {name: json.loads(value) for name, value in header.items()} if found is None else found


def _why(folder: Path) -> str:
    """What the cell itself says of it."""
    told = folder / "cell.json"
    if not told.is_file():
        return "it is no finished cell"
    cell = json.loads(told.read_text(encoding="utf-8"))
    lost: Sequence[dict[str, str]] = [step for step in cell.get("lost", ()) if step["step"] == "seen"]
    if lost:
        return f"storing it failed ({lost[0]['reason']})"
    if cell["head"]["seed"] != 0:
        return "further seeds choose nothing, seed 0 does"
    return "an earlier version has computed it"

"""Bags on disk: those that belong together are either whole or absent, and are not fitted twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from experts.bagging.bag import Bag, load_bagged
from experts.expert import Expert
from foundation.files import atomic_path, write_json


@dataclass(frozen=True)
class BagStore:
    """Bags under a folder.

    Bags that are trained in one program are one item, written to a temporary name and renamed: after a kill they are
    trained together again, so that the rounding of a program never depends on where the last process ended.

    Attributes
    ----------
    folder : Path
    load : callable
        Reads a model's folder, such as :func:`experts.loading.load_expert`.
    """

    folder: Path
    load: Callable[[Path], Expert]

    def bags(self, name: str, settings: Mapping[str, Any], make: Callable[[], Sequence[Bag]]) -> list[Bag]:
        """The bags of an item, made only if they are not there.

        Parameters
        ----------
        name : str
            Of the item, such as "gbdt_utility".
        settings : mapping
            All that determines the bags, JSON-able: other settings make another item.
        make : callable
        """
        place = self.folder / f"{name}-{_digest(settings)}"
        if not place.exists():
            self._write(place, settings, make())
        return self._read(place)

    @staticmethod
    def _write(place: Path, settings: Mapping[str, Any], bags: Sequence[Bag]) -> None:
        with atomic_path(place) as temporary:
            temporary.mkdir()
            save_file({str(number): bag.oof.contiguous() for number, bag in enumerate(bags)}, temporary / OUTPUTS)
            for number, bag in enumerate(bags):
                (temporary / str(number)).mkdir()
                bag.expert.save(temporary / str(number))
            facts = [{key: getattr(bag, key) for key in FACTS} for bag in bags]
            write_json(temporary / "bags.json", {"bags": facts, "settings": dict(settings)})

    def _read(self, place: Path) -> list[Bag]:
        facts, outputs = json.loads((place / "bags.json").read_text(encoding="utf-8")), load_file(place / OUTPUTS)
        return [
            Bag(**known, oof=outputs[str(number)], expert=load_bagged(place / str(number), self.load))
            for number, known in enumerate(facts["bags"])
        ]


FACTS = ("name", "family", "role", "trial")
OUTPUTS = "oof.safetensors"


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

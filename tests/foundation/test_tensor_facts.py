"""The header of a file of tensors is one entry, so that equal facts are equal bytes; others are told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from foundation.hashing import hash_file
from foundation.tensor_facts import facts_of, header_of

FACTS = {"b": [1, 2], "a": {"x": None}, "c": "ä", "d": 0.1}


def test_facts_come_back_from_a_file_that_is_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    found = set()
    for attempt, names in enumerate([list(FACTS), sorted(FACTS), sorted(FACTS, reverse=True)]):
        path = tmp_path / str(attempt)
        save_file({"w": np.zeros(3)}, path, metadata=header_of({name: FACTS[name] for name in names}))
        found.add(hash_file(path))
        with safe_open(path, framework="np") as stream:
            assert facts_of(stream.metadata()) == FACTS and len(stream.metadata()) == 1
    assert len(found) == 1


@pytest.mark.parametrize("header", [None, {}, {"format": "pt"}])
def test_a_header_without_facts_has_none(header: dict[str, str] | None) -> None:
    assert facts_of(header) is None


@pytest.mark.parametrize("entry", ["[1]", "3", "{", ""])
def test_an_entry_that_holds_no_facts_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"no facts|Expecting"):
        facts_of({"facts": entry})

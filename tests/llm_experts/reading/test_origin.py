"""Origins: rows that an expert has seen are known again, whatever the split, and survive its files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.bases.base import Base
from llm_experts.reading.expert import LLMExpert, base_expert, calibrate, load_llm_expert
from llm_experts.reading.origin import Origin, joined, seen_among
from llm_experts.reading.reader import Reader
from tasks.load import load_task
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import make_adapter


def rows_of(name: str, seed: int, part: str) -> set[int]:
    """Published numbers of the rows of a part."""
    view = load_task(name, seed=seed).view()
    return set(view.rows[getattr(view.split, part)].tolist())


def test_rows_of_another_split_are_known_again() -> None:
    origin = Origin.of_training(load_task("scm@400", seed=1).view())
    assert (origin.task, origin.protocol, origin.split, origin.seed) == ("scm@400", "robust", 0, 1)
    view = load_task("scm@400", seed=0).view()
    seen = seen_among([origin], view, view.split.test)
    test = rows_of("scm@400", 0, "test")
    fitted, chosen = rows_of("scm@400", 1, "train"), rows_of("scm@400", 1, "validation")
    assert int(seen.sum()) == len(test & (fitted | chosen)) > 0
    assert int(seen_among([origin], view, view.split.test, trained_only=True).sum()) == len(test & fitted)


def test_test_rows_of_its_own_split_are_unseen() -> None:
    view = load_task("scm@400", seed=1).view()
    origin = Origin.of_training(view)
    assert not seen_among([origin], view, view.split.test).any()
    for part in (view.split.train, view.split.validation):
        assert seen_among([origin], view, part).all()
    assert not seen_among([origin], view, view.split.validation, trained_only=True).any()


@pytest.mark.data
def test_another_row_cap_or_attribute_of_the_same_data_has_the_same_rows() -> None:
    origin = Origin.of_training(load_task("german", seed=0).view())
    for name in ("german@400", "german:age"):
        view = load_task(name, seed=3).view()
        seen = seen_among([origin], view, view.split.test)
        expected = set(view.rows[view.split.test].tolist()) & (origin.trained | origin.chosen)
        assert int(seen.sum()) == len(expected) > 0
    other = load_task("scm@400").view()
    assert not seen_among([origin], other, other.split.test).any()


def test_an_origin_survives_its_file() -> None:
    origin = Origin.of_training(load_task("scm@400", seed=1).view())
    again = Origin.from_dict(json.loads(json.dumps(origin.as_dict())))
    assert again == origin and len(again.trained) > len(again.chosen) > 0
    empty = Origin.of(load_task("scm@200").view())
    assert Origin.from_dict(empty.as_dict()) == empty


def test_origins_of_one_split_are_one() -> None:
    view = load_task("scm@200").view()
    fitted, chosen = Origin.of(view, trained=view.split.train), Origin.of(view, chosen=view.split.validation)
    assert joined([fitted, chosen, fitted]) == (Origin.of_training(view),)
    other = Origin.of_training(load_task("scm@200", seed=2).view())
    assert joined([fitted, other]) == (fitted, other)


def test_calibration_rows_count_as_seen() -> None:
    view = load_task("scm@200").view()
    (asked,) = calibrate([base_expert(Reader(make_tiny_base(layers=2, hidden=32)))], view, view.split.validation)
    assert asked.origins == (Origin.of(view, chosen=view.split.validation),)


@pytest.fixture(scope="module")
def base() -> Base:
    return make_tiny_base(layers=2, hidden=32)


def test_an_experts_file_says_what_it_was_made_on(base: Base, tmp_path: Path) -> None:
    view = load_task("scm@200", split=2, seed=5).view()
    adapter = make_adapter("lora", start=1, base=base)
    made = LLMExpert("utility", Reader(base, "list"), adapter, origins=(Origin.of_training(view),))
    made.save(tmp_path)
    facts = json.loads((tmp_path / "expert.json").read_text())
    assert facts["base"] == {"id": base.id, "hash": base.hash, "dtype": "float32", "quantisation": "none"}
    assert facts["template"] == "list"
    (origin,) = facts["origins"]
    assert (origin["task"], origin["split"], origin["seed"]) == ("scm@200", 2, 5)
    assert load_llm_expert(tmp_path, base).origins == made.origins


def test_another_precision_is_said(base: Base, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    LLMExpert("utility", Reader(base), make_adapter("lora", start=1, base=base)).save(tmp_path)
    path = tmp_path / "expert.json"
    facts = json.loads(path.read_text())
    with caplog.at_level(logging.WARNING):
        load_llm_expert(tmp_path, base)
        assert not caplog.messages
        path.write_text(json.dumps(facts | {"base": facts["base"] | {"dtype": "bfloat16", "quantisation": "nf4"}}))
        load_llm_expert(tmp_path, base)
    (message,) = caplog.messages
    assert "dtype bfloat16 and quantisation nf4" in message and "dtype float32 and quantisation none" in message


@pytest.mark.parametrize("damage", [{"trained": "%"}, {"trained": "AAAA"}, {"split": None}, {"chosen": None}])
def test_a_damaged_record_is_refused(base: Base, tmp_path: Path, damage: dict[str, object]) -> None:
    origin = Origin.of(load_task("scm@200").view(), trained=torch.arange(5))
    made = LLMExpert("utility", Reader(base), make_adapter("lora", start=1, base=base), origins=(origin,))
    made.save(tmp_path)
    path = tmp_path / "expert.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"origins": [facts["origins"][0] | damage]}))
    with pytest.raises(AdapterError, match="rows that it has seen is damaged"):
        load_llm_expert(tmp_path, base)

"""The cache of nano: by content, whole or absent, one pretraining at a time; and nano as a base like any other."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from llm_experts.bases.error import BaseError
from llm_experts.bases.load import load_base
from llm_experts.bases.nano import store
from llm_experts.bases.nano.store import ensure_nano, is_whole, nano_facts, nano_hash
from tests.llm_experts.bases.nano.nano_fixtures import MINIATURE, SUBJECTS


@pytest.fixture(autouse=True)
def _few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "card_subjects", lambda: SUBJECTS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def refuse(*_: object) -> None:
    raise AssertionError("it was pretrained again")


def test_it_is_pretrained_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[object] = []
    folder = ensure_nano(cache, reports.append, settings=MINIATURE)
    assert reports
    assert folder.name == nano_hash(settings=MINIATURE)[:16]
    monkeypatch.setattr(store, "_make", refuse)
    assert ensure_nano(cache, settings=MINIATURE) == folder
    assert not folder.with_suffix(".work").exists()


def test_its_facts(cache: Path) -> None:
    folder = ensure_nano(cache, settings=MINIATURE)
    facts = nano_facts(folder)
    assert facts["hash"] == nano_hash(settings=MINIATURE)
    assert facts["path"] == str(folder)
    assert facts["loss_last"] < facts["loss_first"]
    assert {"decide", "level", "rule", "side", "tell"} == set(facts["examination"])
    for marks in facts["examination"].values():
        assert 0 <= marks["accuracy"] <= 1
        assert 0 < marks["constant"] <= 1
        assert marks["questions"] > 0


def test_the_identity_follows_settings_schemas_and_corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    found = [nano_hash(settings=MINIATURE), nano_hash(settings=replace(MINIATURE, seed=1))]
    found += [nano_hash([tmp_path / name], MINIATURE) for name in ("a.txt", "b.txt")]
    assert nano_hash(settings=MINIATURE) == found[0]
    other = replace(SUBJECTS[0], questions=("Will the applicant repay?",))
    monkeypatch.setattr(store, "card_subjects", lambda: (other,))
    found.append(nano_hash(settings=MINIATURE))
    assert len(set(found)) == 5


def test_a_damaged_or_half_written_folder_is_made_again(tmp_path: Path) -> None:
    folder = ensure_nano(tmp_path, settings=MINIATURE)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:1000])
    assert not is_whole(folder)
    assert ensure_nano(tmp_path, settings=MINIATURE) == folder
    assert (folder / "model.safetensors").read_bytes() == weights
    (folder / "facts.json").unlink()
    assert not is_whole(folder)
    with pytest.raises(BaseError, match="no pretrained nano"):
        nano_facts(folder)


def _child(cache: str, queue: "multiprocessing.Queue[int]") -> None:
    store.card_subjects = lambda: SUBJECTS  # type: ignore[assignment]
    reports: list[object] = []
    ensure_nano(cache, reports.append, settings=MINIATURE)
    queue.put(len(reports))


def test_two_processes_do_not_both_pretrain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[int] = context.Queue()
    children = [context.Process(target=_child, args=(str(tmp_path), queue)) for _ in range(2)]
    for child in children:
        child.start()
    steps = sorted(queue.get(timeout=120) for _ in children)
    for child in children:
        child.join()
    assert steps[0] == 0
    assert steps[1] > 0


def test_a_corpus_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match=r"no corpus file .*nothing\.txt"):
        nano_hash([tmp_path / "nothing.txt"], MINIATURE)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "nano").write_text("a file where the folder would be")
    with pytest.raises(BaseError, match="FAIRMOE_CACHE"):
        ensure_nano(tmp_path, settings=MINIATURE)


def test_nano_loads_like_any_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ensure_nano(cache, settings=MINIATURE)
    monkeypatch.setattr("llm_experts.bases.load.ensure_nano", lambda where, progress: folder)
    nano, plain = load_base("nano"), load_base(str(folder))
    assert nano.hash == plain.hash
    assert (nano.hidden_size, nano.n_layers, nano.context) == (32, 2, 1024)
    assert len(nano.tokenizer(" yes").input_ids) == 1


def test_the_default_identity_needs_no_pretraining() -> None:
    assert len(nano_hash()) == 64

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key, base_key_of, cached_commit, split_revision, with_revision
from llm_experts.bases.load import base_hash, load_base
from llm_experts.bases.nano import nano_hash


@pytest.fixture
def folder(tiny_base, tmp_path) -> Path:
    place = tmp_path / "tiny"
    tiny_base.model.save_pretrained(place)
    tiny_base.tokenizer.save_pretrained(place)
    return place


@pytest.mark.parametrize("dtype", ["auto", "float32", "bf16"])
@pytest.mark.parametrize("quantisation", ["none", "nf4"])
def test_loaded_or_not_a_folder_has_the_same_key(folder, dtype, quantisation):
    base = load_base(str(folder), dtype=dtype, quantisation=quantisation)
    assert base_key(base) == base_key_of(str(folder), dtype, quantisation, "cpu")


def test_what_decides_numbers_is_in_the_key(folder):
    keys = [
        base_key_of(str(folder)),
        base_key_of("nano"),
        base_key_of(str(folder), "bfloat16"),
        base_key_of(str(folder), "float32", "int8"),
        base_key_of(str(folder), "float32", "none", "cuda:1"),
    ]
    assert len({tuple(key.items()) for key in keys}) == len(keys)
    assert base_key_of(str(folder), "fp32") == keys[0]
    assert keys[1]["base"] == nano_hash()
    assert base_key_of("nano", device="cuda") == base_key_of("nano", "bf16", device="cuda:1")
    assert base_key_of("owner/model")["base"] == "owner/model"


def test_a_word_that_is_no_precision(folder):
    with pytest.raises(BaseError, match="no dtype 'float8'"):
        base_key_of(str(folder), "float8")


def test_no_model_library_is_imported():
    code = (
        "import sys; from llm_experts.bases.identify import base_key_of; base_key_of('nano');"
        "print([m for m in ('torch', 'transformers', 'numpy', 'pandas', 'peft') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_published_base_is_the_commit_in_the_cache(folder, tmp_path, monkeypatch):
    """The layout of the Hugging Face cache, with two commits of one model."""
    model = tmp_path / "hub" / "models--owner--model"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    keys = [base_key_of("owner/model")["base"]]
    (model / "refs").mkdir(parents=True)
    for commit in ("a" * 40, "b" * 40):
        (model / "snapshots" / commit).mkdir(parents=True)
        (model / "snapshots" / commit / "config.json").write_text("{}")
        (model / "refs" / "main").write_text(commit)
        keys.append(base_key_of("owner/model")["base"])
    assert keys == ["owner/model", f"owner/model@{'a' * 40}", f"owner/model@{'b' * 40}"]
    assert cached_commit("no id: at all") is None


def test_a_revision_is_part_of_the_name_of_a_published_base(folder, tmp_path, monkeypatch):
    """Two commits in the cache, one of them called v2: loaded by name, by option, and with a key of its own."""
    hub = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = hub / "models--owner--model"
    for commit, ref in (("a" * 40, "main"), ("b" * 40, "v2")):
        shutil.copytree(folder, model / "snapshots" / commit)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / ref).write_text(commit)
    (model / "snapshots" / ("b" * 40) / "config.json").write_text((folder / "config.json").read_text() + " ")
    main, named, given = load_base("owner/model"), load_base("owner/model@v2"), load_base("owner/model", revision="v2")
    assert main.hash == base_hash("owner/model") != named.hash == given.hash == base_hash("owner/model@v2")
    assert base_key_of("owner/model@v2")["base"] == f"owner/model@{'b' * 40}"
    assert named.id == with_revision("owner/model", "v2") == with_revision("owner/model@v2", "v2") == "owner/model@v2"


def test_names_that_hold_no_revision(tmp_path):
    (tmp_path / "my@home").mkdir()
    for name in ("nano", "owner/model", str(tmp_path / "my@home"), "./a@b", "~/a@b", "owner/model@"):
        assert split_revision(name) == (name, None)
    assert with_revision("nano", None) == "nano"
    for name, word in (("nano", "no revisions"), (str(tmp_path), "no revisions"), ("owner/model@v1", "one of them")):
        with pytest.raises(BaseError, match=word):
            with_revision(name, "v2")

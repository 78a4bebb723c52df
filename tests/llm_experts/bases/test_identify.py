import subprocess
import sys
from pathlib import Path

import pytest

from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key, base_key_of, cached_commit
from llm_experts.bases.load import load_base
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

"""Damaged settings of a base: each is loaded as it was, or refused in one paragraph by file and key.

The kinds below are those found by some 4,700 cases (every key of six files x 25 values) that were tried once.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from llm_experts.bases.error import BaseError
from llm_experts.bases.load import base_hash, load_base
from tests.llm_experts.conftest import make_tiny_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, path = make_tiny_base(layers=1, hidden=16), tmp_path_factory.mktemp("model")
    base.model.save_pretrained(path)
    base.tokenizer.save_pretrained(path)
    base.model.generation_config.save_pretrained(path)
    return path


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def refused(own: Path) -> str:
    with pytest.raises(BaseError) as caught:
        load_base(str(own))
    text = str(caught.value)
    assert "\n" not in text and "ignore_mismatched_sizes" not in text
    return text


def put(path: Path, key: str, value: Any) -> None:
    given = json.loads(path.read_text())
    *way, last = key.split(".")
    place = given
    for step in way:
        place = place[step]
    place[last] = value
    path.write_text(json.dumps(given))


HUGE = 10**30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", "x"), ("hidden_size", HUGE), ("hidden_size", 10**6), ("hidden_size", 32), ("hidden_size", True),
        ("vocab_size", 1), ("num_hidden_layers", 0), ("num_hidden_layers", 9_999), ("num_attention_heads", -1),
        ("num_key_value_heads", None), ("head_dim", 0), ("head_dim", 8), ("intermediate_size", 0.5),
        ("max_position_embeddings", 0), ("rms_norm_eps", float("nan")), ("rms_norm_eps", 1e308),
        ("rope_parameters", "x"), ("rope_parameters.rope_theta", -1), ("rope_parameters.rope_type", "x"),
        ("hidden_act", "x"), ("attention_bias", 1), ("model_type", "x"), ("model_type", []), ("dtype", ""),
        ("eos_token_id", "x"), ("pad_token_id", HUGE), ("num_labels", HUGE), ("quantization_config", 7),
        ("quantization_config", {}), ("text_config", "x"), ("id2label", "x"), ("layer_types", [[]]),
        ("auto_map", None), ("sliding_window", "x"), ("use_cache", []),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be(own: Path, key: str, value: object) -> None:
    put(own / "config.json", key, value)
    text = refused(own)
    assert "config.json" in text and key.partition(".")[0] in text


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("generation_config.json", "eos_token_id", "x"),
        ("generation_config.json", "eos_token_id", float("inf")),
        ("generation_config.json", "max_new_tokens", "x"),
        ("generation_config.json", "watermarking_config", {"a": 1}),
        ("tokenizer_config.json", "tokenizer_class", -1),
        ("tokenizer_config.json", "model_max_length", "x"),
        ("tokenizer_config.json", "added_tokens_decoder", None),
        ("tokenizer_config.json", "eos_token", {"a": 1}),
    ],
)
def test_settings_beside_those_of_the_model(own: Path, name: str, key: str, value: object) -> None:
    put(own / name, key, value)
    text = refused(own)
    assert name in text and f"key {key}" in text


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", "7", "[]", '{"a":', "[" * 5000, "\ufeff{}", "\0"])
def test_a_file_that_is_no_object(own: Path, name: str, text: str) -> None:
    (own / name).write_text(text, encoding="utf-8")
    assert name in refused(own)


@pytest.mark.parametrize(
    ("key", "value"), [("version", None), ("model.vocab", [1]), ("pre_tokenizer.type", "x"), ("added_tokens", {"a": 1})]
)
def test_a_vocabulary_that_cannot_be_read_is_told_by_its_place(own: Path, key: str, value: object) -> None:
    put(own / "tokenizer.json", key, value)
    assert str(own / "tokenizer.json") in refused(own)


def test_a_setting_that_is_lacking(own: Path) -> None:
    given = json.loads((own / "config.json").read_text())
    del given["head_dim"]  # its default is 128, and no product of others
    (own / "config.json").write_text(json.dumps(given))
    assert "head_dim" in refused(own)


def test_layers_that_are_not_told_are_not_dropped(own: Path) -> None:
    weights = load_file(own / "model.safetensors")
    more = {
        name.replace("layers.0", "layers.1"): value.clone() for name, value in weights.items() if "layers.0" in name
    }
    save_file(weights | more, own / "model.safetensors", metadata={"format": "pt"})
    text = refused(own)
    assert "num_hidden_layers: it is 1, but the weights have 2 layers" in text


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_weights_that_end_too_early(own: Path, share: float) -> None:
    path = own / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert str(path) in refused(own)


def test_an_adapter_beside_the_model_is_not_added_unseen(own: Path) -> None:
    """The library would add it to the weights, and the hash of the base would not say so."""
    (own / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4}))
    assert "adapter_config.json" in refused(own)
    with pytest.raises(BaseError, match=r"adapter_config\.json"):
        base_hash(str(own))


def test_a_tokenizer_of_another_model(own: Path) -> None:
    given = json.loads((own / "tokenizer.json").read_text())
    given["model"]["vocab"] |= {f"word{k}": 1000 + k for k in range(200)}
    (own / "tokenizer.json").write_text(json.dumps(given))
    assert "do not belong together" in refused(own)


def test_what_no_key_says_wrongly_is_loaded_as_before(folder: Path, own: Path) -> None:
    put(own / "config.json", "made_up", {"a": 1})
    put(own / "config.json", "use_cache", False)
    put(own / "generation_config.json", "temperature", 0.5)
    given, changed = load_base(str(folder)), load_base(str(own))
    ids = torch.tensor([given.tokenizer("The savings are unknown.").input_ids])
    assert torch.equal(given.model(ids).logits, changed.model(ids).logits)

"""Pooled hidden states: of the base, and of a sentence encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from serving.router import ExpertProfile, Router, RouterConfig, RouterError
from serving.router.states import base_state, encoder_state
from tests.llm_experts.conftest import make_tiny_base, tiny_tokenizer


def test_a_state_of_the_base_is_the_mean_over_the_texts_tokens() -> None:
    base = make_tiny_base()
    state = base_state(base)
    ids = base.tokenizer("a man pays", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        hidden = base.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
    assert torch.allclose(state("a man pays"), hidden.mean(dim=0), atol=1e-6)
    assert torch.equal(state("a man pays"), state("a man pays"))
    assert state("").isfinite().all()


def test_a_sentence_encoder_is_any_model_with_safetensors(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    state = encoder_state(str(tmp_path / "encoder"))
    first, second = state("a man pays"), state("no")
    assert first.shape == (16,) and not torch.allclose(first, second) and torch.equal(first, state("a man pays"))
    assert state("").isfinite().all()
    (tmp_path / "encoder" / "model.safetensors").unlink()
    with pytest.raises(RouterError, match="safetensors"):
        encoder_state(str(tmp_path / "encoder"))


def test_a_saved_router_says_which_base_its_states_are_of_and_refuses_another(tmp_path: Path) -> None:
    first, other = make_tiny_base(layers=1), make_tiny_base(layers=1, seed=1)  # as wide as each other
    config = RouterConfig(order=("prototypes",))
    Router.of([ExpertProfile("a", description="a man pays")], config, base_state(first)).save(tmp_path / "router")
    assert json.loads((tmp_path / "router/router.json").read_text())["states"] == {"name": "tiny", "hash": first.hash}
    with pytest.raises(RouterError, match=rf"tiny \({first.hash[:12]}\), and these are of tiny \({other.hash[:12]}\)"):
        Router.load(tmp_path / "router", base_state(other))
    Router.load(tmp_path / "router", base_state(first)).check_states()
    Router.load(tmp_path / "router").over([]).save(tmp_path / "again")  # who has no base at hand keeps what is known
    with pytest.raises(RouterError, match="fitted on hidden states of tiny"):
        Router.load(tmp_path / "again", base_state(other))


def test_a_router_of_words_goes_with_any_base(tmp_path: Path) -> None:
    config = RouterConfig(order=("keywords",))
    Router.of([ExpertProfile("a", keywords=("x",))], config, base_state(make_tiny_base(layers=1))).save(tmp_path / "r")
    assert "states" not in json.loads((tmp_path / "r/router.json").read_text())
    assert Router.load(tmp_path / "r", base_state(make_tiny_base(layers=1, seed=1))).route("x").names == ("a",)

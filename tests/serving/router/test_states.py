"""Pooled hidden states: of the base, and of a sentence encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serving.router import RouterError
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

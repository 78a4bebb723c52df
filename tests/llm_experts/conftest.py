"""A tiny base with random weights: what mechanics are tested on; nano is for what a base has to know."""

import hashlib

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from llm_experts.bases.base import Base

WORDS = [
    "The applicant's age is 23 years. The applicant's sex is female. The savings are unknown.",
    "Question: Is the applicant a good credit risk? Options: yes or no. Answer: yes",
    "Question: Does the person earn more than 50,000 dollars a year? Options: no or yes. Answer: no",
]


def tiny_tokenizer(*more: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer for some sentences; ``more`` texts give it further words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", "<bos>", "<eos>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([*WORDS, *more] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")


def make_tiny_base(layers: int = 3, hidden: int = 64, seed: int = 0, scale: float = 0.2) -> Base:
    """A random base; weights are large enough that outputs differ between texts."""
    tokenizer = tiny_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=hidden // 4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="sdpa",
    )
    model = Qwen3ForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for _, weight in sorted(model.named_parameters()):
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    digest = hashlib.sha256(b"".join(w.numpy().tobytes() for _, w in sorted(model.named_parameters())))
    return Base("tiny", model, tokenizer, digest.hexdigest())


@pytest.fixture
def tiny_base() -> Base:
    """A fresh random base for every test: adapters are injected into it."""
    return make_tiny_base()

"""What the base is decides whether it can be cut: plain decoders run exactly, all others are refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.decoder.cut import CutBase
from llm_experts.decoder.program import AttachedTop
from llm_experts.prompts.prompts import PromptError
from llm_experts.reading.reader import Reader
from tests.llm_experts.conftest import tiny_tokenizer
from tests.llm_experts.decoder.test_cut import ANSWERS, one_by_one, packed
from tests.llm_experts.expert_fixtures import ROWS, SCM, make_adapter

TOKENIZER = tiny_tokenizer()
COMMON: dict[str, Any] = {
    "vocab_size": len(TOKENIZER),
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
OLD: dict[str, Any] = {"vocab_size": len(TOKENIZER), "bos_token_id": 1, "eos_token_id": 2}
WINDOW = 32
PLAIN = {
    "Llama": ("LlamaForCausalLM", {}),
    "Mistral": ("MistralForCausalLM", {"sliding_window": None}),
    "Qwen2": ("Qwen2ForCausalLM", {}),
    "Qwen3": ("Qwen3ForCausalLM", {"head_dim": 16}),
    "Starcoder2": ("Starcoder2ForCausalLM", {"sliding_window": None}),
    "Gemma": ("GemmaForCausalLM", {"head_dim": 16}),
}
SLIDING = {
    "Mistral": ("MistralForCausalLM", {"sliding_window": WINDOW}),
    "Qwen2": ("Qwen2ForCausalLM", {"sliding_window": WINDOW, "use_sliding_window": True, "max_window_layers": 1}),
    "Starcoder2": ("Starcoder2ForCausalLM", {"sliding_window": WINDOW}),
}
OTHERS = {
    "GPT2": ("GPT2LMHeadModel", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256}),
    "GPTJ": ("GPTJForCausalLM", {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256, "rotary_dim": 16}),
    "Bloom": ("BloomForCausalLM", {"hidden_size": 64, "n_layer": 3, "n_head": 4}),
    "Mpt": ("MptForCausalLM", {"d_model": 64, "n_layers": 3, "n_heads": 4}),
    "Mamba": ("MambaForCausalLM", {"hidden_size": 64, "num_hidden_layers": 2}),
    "OPT": (
        "OPTForCausalLM",
        {
            "hidden_size": 64,
            "ffn_dim": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 64,
        },
    ),
    "Falcon": ("FalconForCausalLM", {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}),
    "GPTNeoX": ("GPTNeoXForCausalLM", COMMON),
    "Gemma2": ("Gemma2ForCausalLM", COMMON | {"head_dim": 16}),
    "Gemma3Text": ("Gemma3ForCausalLM", COMMON | {"head_dim": 16}),
    "StableLm": ("StableLmForCausalLM", COMMON),
    "Glm": ("GlmForCausalLM", COMMON | {"head_dim": 16}),
    "Helium": ("HeliumForCausalLM", COMMON | {"head_dim": 16}),
    "Phi": ("PhiForCausalLM", COMMON),
    "Phi3": ("Phi3ForCausalLM", COMMON),
    "Olmo2": ("Olmo2ForCausalLM", COMMON),
    "Cohere": ("CohereForCausalLM", COMMON),
    "Granite": ("GraniteForCausalLM", COMMON | {"residual_multiplier": 0.5}),
}


def base_of(config: str, model: str, settings: dict[str, Any]) -> Base:
    """A random base of an architecture; its weights are large enough that outputs differ between texts."""
    made = getattr(transformers, model)(getattr(transformers, f"{config}Config")(**settings))
    made = made.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for _, weight in sorted(made.named_parameters()):
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return Base(f"my-{config.lower()}", made, TOKENIZER, "0" * 64)


@pytest.mark.parametrize("config", PLAIN)
def test_plain_decoders_run_exactly_as_long_as_their_texts_are(config: str) -> None:
    model, settings = PLAIN[config]
    base = base_of(config, model, COMMON | settings)
    ids, layout = packed([100, 40])
    cut = CutBase(base, 1)
    found = cut.top(ANSWERS)(cut.lower(ids, layout), layout).logits
    torch.testing.assert_close(found, one_by_one(base.model, ids, layout), atol=1e-4, rtol=1e-4)
    assert base.window is None and base.context == 256


@pytest.mark.parametrize("config", SLIDING)
def test_a_sliding_window_ends_the_context(config: str) -> None:
    """Up to the window such a base is a plain decoder; behind it a token does not see all of its text."""
    model, settings = SLIDING[config]
    base = base_of(config, model, COMMON | settings)
    assert base.context == base.window == WINDOW
    cut = CutBase(base, 1)
    ids, layout = packed([WINDOW - 3, 11])
    found = cut.top(ANSWERS)(cut.lower(ids, layout), layout).logits
    torch.testing.assert_close(found, one_by_one(base.model, ids, layout), atol=1e-4, rtol=1e-4)
    ids, layout = packed([97])
    with pytest.raises(BaseError, match=r"A text of 100 tokens does not fit: my-.* reads 32 .*sliding window is 32"):
        cut.lower(ids, layout)
    with pytest.raises(PromptError, match="base reads 32 at most"):
        Reader(base).margins([None], SCM, ROWS)


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_virtual_tokens_count_among_those_that_a_window_sees(kind: str) -> None:
    base = base_of("Mistral", "MistralForCausalLM", COMMON | {"sliding_window": WINDOW, "head_dim": 16})
    adapter = make_adapter(kind, start=0, base=base)
    program = AttachedTop(base, 0, ANSWERS, adapter.config)
    cut, lanes = CutBase(base, 0), program.lanes([adapter.state])
    ids, layout = packed([WINDOW - 3 - 8])
    program.answers(lanes, cut.lower(ids, layout), layout)
    ids, layout = packed([WINDOW - 3 - 7])
    with pytest.raises(BaseError, match="A text of 33 tokens, 8 virtual ones included, does not fit"):
        program.answers(lanes, cut.lower(ids, layout), layout)


def test_layers_without_a_window_need_no_end() -> None:
    settings = {"sliding_window": WINDOW, "use_sliding_window": True, "max_window_layers": 3}
    assert base_of("Qwen2", "Qwen2ForCausalLM", COMMON | settings).context == 256
    settings = {"sliding_window": WINDOW, "use_sliding_window": False}
    assert base_of("Qwen2", "Qwen2ForCausalLM", COMMON | settings).context == 256


@pytest.mark.parametrize("config", OTHERS)
def test_other_architectures_are_refused_by_name(config: str) -> None:
    model, settings = OTHERS[config]
    base = base_of(config, model, OLD | settings)
    with pytest.raises(BaseError) as caught:
        CutBase(base, -1)
    text = str(caught.value)
    assert model in text and base.id in text and "Llama, Mistral or Qwen family" in text and "\n" not in text


def test_what_differs_in_long_texts_only_is_found_when_they_are_read() -> None:
    """A base that changes beyond 50 tokens passes the first comparison, of short texts, and no later one."""
    base = base_of("Llama", "LlamaForCausalLM", COMMON)
    layer = base.model.model.layers[1]

    def louder(_module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        return output * 2 if output.shape[1] > 50 else output

    layer.register_forward_hook(louder)
    cut = CutBase(base, 2)
    short, long = packed([20]), packed([60])
    cut.lower(*short)
    with pytest.raises(BaseError, match=r"a plain decoder does not \(logits of a text of 128 tokens"):
        cut.lower(*long)


def test_answers_that_are_no_numbers_are_no_agreement() -> None:
    base = base_of("Llama", "LlamaForCausalLM", COMMON)
    base.model.model.layers[1].mlp.down_proj.weight[0, 0] = torch.nan
    with pytest.raises(BaseError, match=r"my-llama \(LlamaForCausalLM\) answers with numbers that are not finite"):
        CutBase(base)


def test_a_broken_word_is_no_score() -> None:
    """A NaN in the embedding of one word is not in the comparison; whoever asks with that word is told."""
    base = base_of("Llama", "LlamaForCausalLM", COMMON)
    ids, layout = packed([9, 6])
    cut, program = CutBase(base, 1), AttachedTop(base, 1, ANSWERS, None)
    assert bool(program.answers({}, cut.lower(ids, layout), layout).margin.isfinite().all())
    base.model.get_input_embeddings().weight[ids[0, 4]] = torch.nan
    with pytest.raises(BaseError, match=r"The base my-llama \(LlamaForCausalLM\) answers 1 of 2 texts with numbers"):
        program.answers({}, cut.lower(ids, layout), layout)


def test_a_broken_adapter_is_named() -> None:
    base = base_of("Qwen3", "Qwen3ForCausalLM", COMMON | {"head_dim": 16})
    adapter = make_adapter("lora", start=1, base=base)
    program, cut = AttachedTop(base, 1, ANSWERS, adapter.config), CutBase(base, 1)
    ids, layout = packed([9])
    lanes = {key: value * torch.inf for key, value in program.lanes([adapter.state]).items()}
    with pytest.raises(BaseError, match="An adapter of kind lora on the base my-qwen3"):
        program.answers(lanes, cut.lower(ids, layout), layout)

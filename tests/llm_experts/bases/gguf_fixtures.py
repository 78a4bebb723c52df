"""A tiny Llama as a GGUF file, written byte by byte: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.llm_experts.conftest import tiny_tokenizer

UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5
F32, Q8_0 = 0, 8
ALIGNMENT, BLOCK = 32, 32
TEMPLATE = "{% for m in messages %}<bos>{{ m['content'] }}<eos>{% endfor %}"
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def tiny_llama(hidden: int = 64, inner: int = 96, layers: int = 2) -> LlamaForCausalLM:
    """Two layers with random weights, tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
        rms_norm_eps=1e-5, attn_implementation="sdpa",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for _, weight in sorted(model.named_parameters()):
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model


def write_gguf(path: Path, model: LlamaForCausalLM, *, quantised: bool | str = False) -> None:
    """The model with the tiny tokenizer; ``quantised`` keeps matrices of the layers in blocks of 8 bits (Q8_0).

    Or in blocks of another type by its name: Q4_K, or what the package gguf itself quantises.
    """
    tensors = [_tensor(name, weight, model.config, quantised) for name, weight in model.named_parameters()]
    facts = _facts(model.config, tiny_tokenizer())
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    header += b"".join(_string(key) + value for key, value in facts.items())
    data = b""
    for name, shape, kind, content in tensors:
        data += b"\0" * (-len(data) % ALIGNMENT)
        header += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        header += struct.pack("<IQ", kind, len(data))
        data += content
    path.write_bytes(header + b"\0" * (-len(header) % ALIGNMENT) + data)


def _facts(config: Any, tokenizer: PreTrainedTokenizerFast) -> Mapping[str, bytes]:
    """Keys and typed values, as bytes."""
    import json

    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])]
    merges = [" ".join(pair) for pair in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]]
    control = {"<pad>", "<bos>", "<eos>"}
    return {
        "general.architecture": _typed("llama"),
        "llama.block_count": _typed(config.num_hidden_layers),
        "llama.context_length": _typed(config.max_position_embeddings),
        "llama.embedding_length": _typed(config.hidden_size),
        "llama.feed_forward_length": _typed(config.intermediate_size),
        "llama.attention.head_count": _typed(config.num_attention_heads),
        "llama.attention.head_count_kv": _typed(config.num_key_value_heads),
        "llama.attention.layer_norm_rms_epsilon": _typed(config.rms_norm_eps),
        "llama.rope.dimension_count": _typed(config.hidden_size // config.num_attention_heads),
        "llama.vocab_size": _typed(config.vocab_size),
        "tokenizer.ggml.model": _typed("gpt2"),
        "tokenizer.ggml.pre": _typed("gpt-2"),
        "tokenizer.ggml.tokens": _strings(tokens),
        "tokenizer.ggml.token_type": _numbers([3 if token in control else 1 for token in tokens]),
        "tokenizer.ggml.merges": _strings(merges),
        "tokenizer.ggml.bos_token_id": _typed(tokenizer.bos_token_id),
        "tokenizer.ggml.eos_token_id": _typed(tokenizer.eos_token_id),
        "tokenizer.ggml.padding_token_id": _typed(tokenizer.pad_token_id),
        "tokenizer.chat_template": _typed(TEMPLATE),
    }


def _tensor(
    name: str, weight: torch.Tensor, config: Any, quantised: bool | str
) -> tuple[str, tuple[int, ...], int, bytes]:
    array = weight.numpy().astype(np.float32)
    if "q_proj" in name or "k_proj" in name:  # llama.cpp turns pairs of neighbours, transformers two halves
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
    if isinstance(quantised, str) and "layers" in name and array.ndim == 2:
        return _gguf_name(name), array.shape, *_typed_blocks(array, quantised)
    if quantised and "layers" in name and array.ndim == 2:
        return _gguf_name(name), array.shape, Q8_0, _blocks(array)
    return _gguf_name(name), array.shape, F32, array.tobytes()


def _gguf_name(name: str) -> str:
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{NAMES[part]}.weight"


def _blocks(array: np.ndarray) -> bytes:
    """Q8_0: per 32 numbers a float16 scale and 32 signed bytes."""
    blocks = array.reshape(-1, BLOCK)
    scale = (np.abs(blocks).max(1) / 127).astype(np.float16)
    rounded = np.round(blocks / scale[:, None].astype(np.float32)).clip(-127, 127).astype(np.int8)
    return b"".join(s.tobytes() + r.tobytes() for s, r in zip(scale, rounded, strict=True))


def _typed_blocks(array: np.ndarray, name: str) -> tuple[int, bytes]:
    """Number and bytes of blocks of a type."""
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    kind = GGMLQuantizationType[name]
    return kind.value, q4_k(array)[0] if name == "Q4_K" else quantize(array, kind).tobytes()


def q4_k(array: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Q4_K, and what it stands for: per 256 numbers d, a least value and codes of 4 bits, all factors of parts 1.

    A block is d and dmin (float16), 12 bytes with eight factors and eight offsets of 6 bits each, and 128 bytes of
    codes: of every 64 numbers the first 32 in the lower halves of 32 bytes. A number is d · code - dmin.
    """
    blocks = array.reshape(-1, 256)
    low = -blocks.min(1, keepdims=True).astype(np.float16)
    step = ((blocks.max(1, keepdims=True) + low) / 15).astype(np.float16)
    codes = np.round((blocks + low.astype(np.float32)) / step.astype(np.float32)).clip(0, 15).astype(np.uint8)
    halves = codes.reshape(-1, 4, 2, 32)
    packed = (halves[:, :, 0] | (halves[:, :, 1] << 4)).reshape(-1, 128)
    ones = bytes([1] * 8 + [0x11] * 4)
    made = b"".join(s.tobytes() + m.tobytes() + ones + q.tobytes() for s, m, q in zip(step, low, packed, strict=True))
    return made, (step.astype(np.float32) * codes - low.astype(np.float32)).reshape(array.shape)


def _typed(value: str | float) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    return struct.pack("<II", UINT32, value)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _strings(values: list[str]) -> bytes:
    return struct.pack("<IIQ", ARRAY, STRING, len(values)) + b"".join(map(_string, values))


def _numbers(values: list[int]) -> bytes:
    return struct.pack("<IIQ", ARRAY, INT32, len(values)) + struct.pack(f"<{len(values)}i", *values)

"""SVF on quantised and ternary bases: what is decomposed is what the base multiplies with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.integrations.bitnet import AutoBitLinear, BitLinear, pack_weights

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS
from llm_experts.adapters.state import adapter_state
from llm_experts.adapters.store import load_adapter, save_adapter
from llm_experts.adapters.svf import SVFConfig, dense_weight, svf_layers
from llm_experts.adapters.svf.weights import settle
from llm_experts.bases.load import load_base
from tests.llm_experts.adapters.svf.svf_fixtures import far, logits, own_cache, shake  # noqa: F401
from tests.llm_experts.conftest import make_tiny_base

pytestmark = pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
WORDS = 64


def four_bit(linear: nn.Linear, kind: str = "nf4", nested: bool = True) -> nn.Module:
    made = bnb.nn.Linear4bit(
        linear.in_features, linear.out_features, bias=False, compute_dtype=torch.float32, quant_type=kind
    )
    made.weight = bnb.nn.Params4bit(
        linear.weight.detach().clone(), requires_grad=False, quant_type=kind, compress_statistics=nested
    )
    return made.to("cpu").eval()


def eight_bit(linear: nn.Linear) -> nn.Module:
    made = bnb.nn.Linear8bitLt(linear.in_features, linear.out_features, bias=False, has_fp16_weights=False)
    made.weight = bnb.nn.Int8Params(linear.weight.detach().clone(), requires_grad=False, has_fp16_weights=False)
    return made.to("cpu").eval()


def ternary(linear: nn.Linear) -> nn.Module:
    """BitNet b1.58: round(W / s) in {−1, 0, 1} with s = mean |W|, packed."""
    made = BitLinear(linear.in_features, linear.out_features, False, dtype=torch.float32)
    scale = linear.weight.detach().abs().mean()
    codes = (linear.weight.detach() / scale).round().clamp(-1, 1).to(torch.int8)
    made.weight.copy_(pack_weights(codes))
    made.weight_scale.fill_(1 / float(scale))
    return made.eval()


QUANTISERS: dict[str, Callable[[nn.Linear], nn.Module]] = {"nf4": four_bit, "int8": eight_bit, "ternary": ternary}


@pytest.fixture(autouse=True, scope="module")
def uncompiled() -> Iterator[None]:
    """BitNet's modules ask for a compiler; the tests do not need it."""
    with torch.compiler.set_stance("force_eager"):
        yield


def linear(out: int = 96, inner: int = 128, seed: int = 0) -> nn.Linear:
    made = nn.utils.skip_init(nn.Linear, inner, out, bias=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        made.weight.copy_(torch.randn(out, inner, generator=generator) * 0.2)
    return made


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("shape", [(64, 128), (96, 64), (33, 70)])
def test_four_bit_weights_before_and_after_their_first_use(kind, nested, shape):
    module: Any = four_bit(linear(*shape), kind, nested)
    library = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
    before = dense_weight(module)
    assert before.dtype == torch.float32
    assert bool(((before - library).abs() <= 2**-8 * library.abs()).all())  # scales are rounded to bfloat16
    if shape[0] % 32 or shape[1] % 64:
        return  # the library itself cannot use it on every machine
    x = torch.randn(5, shape[1], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = module(x)
    assert torch.equal(dense_weight(module), before)
    assert far(y, x @ before.T) <= 0.02 * float(y.abs().max())
    settle(module)
    assert torch.equal(dense_weight(module), before)
    with torch.no_grad():
        settled = module(x)
        module.state_dict()
        assert far(module(x), settled) == 0
    assert far(settled, x @ before.T) <= 0.01 * float(y.abs().max())
    library = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
    assert bool(((before - library).abs() <= 2**-8 * library.abs()).all())


def test_eight_bit_weights():
    plain = linear()
    module = eight_bit(plain)
    rows = plain.weight.detach().abs().amax(1, keepdim=True)
    assert bool(((dense_weight(module) - plain.weight.detach()).abs() <= rows / 127 * 0.6).all())
    before = dense_weight(module).clone()
    with torch.no_grad():
        module(torch.ones(2, 128))
    assert torch.equal(dense_weight(module), before)


def test_ternary_weights():
    plain = linear(32, 24)
    scale = plain.weight.detach().abs().mean()
    expected = (plain.weight.detach() / scale).round().clamp(-1, 1) * scale
    torch.testing.assert_close(dense_weight(ternary(plain)), expected)
    assert len(dense_weight(ternary(plain)).unique()) == 3
    online = AutoBitLinear(24, 32, bias=False, online_quant=True)
    online.weight.data.copy_(plain.weight)
    torch.testing.assert_close(dense_weight(online), expected)
    offline = AutoBitLinear(24, 32, bias=False)
    offline.weight.data.copy_(expected / scale)
    offline.weight_scale.fill_(scale)
    torch.testing.assert_close(dense_weight(offline), expected)
    x = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))
    for module in (ternary(plain), online, offline):  # they round x to 8 bits
        assert far(module(x), x @ expected.T) <= 0.03


def test_what_cannot_be_dequantised():
    with pytest.raises(AdapterError, match="not quantised yet"):
        dense_weight(bnb.nn.Linear4bit(4, 4))
    with pytest.raises(AdapterError, match="not quantised yet"):
        dense_weight(bnb.nn.Linear8bitLt(4, 4, has_fp16_weights=False))
    with pytest.raises(AdapterError, match="normalises its own input"):
        dense_weight(BitLinear(8, 8, False, dtype=torch.float32, use_rms_norm=True))

    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    with pytest.raises(AdapterError, match="type Doubled has no matrix"):
        dense_weight(Doubled(2, 2))


def texts(count: int, length: int, seed: int) -> Tensor:
    """[count, length] words; the next one depends on the last two through two fixed permutations."""
    generator = torch.Generator().manual_seed(17)
    follow = torch.stack([torch.randperm(WORDS, generator=generator) for _ in range(2)])
    generator.manual_seed(seed)
    words = [torch.randint(WORDS, (count,), generator=generator) for _ in range(2)]
    for _ in range(length - 2):
        words.append(follow[words[-2] % 2, words[-1]])
    return torch.stack(words, 1)


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A small model that has learnt something: random ones have no preferred token."""
    config = Qwen3Config(
        vocab_size=WORDS,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=64,
        attn_implementation="sdpa",
    )
    with torch.random.fork_rng(devices=[]):
        model = Qwen3ForCausalLM(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.ndim == 2):
            p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    for step in range(150):
        ids = texts(32, 16, step)
        loss = model(input_ids=ids, labels=ids).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 1.2  # two thirds of it are the first two words of 16, which are random
    return model.eval().requires_grad_(False)


def quantised(model: nn.Module, kind: str) -> nn.Module:
    made = copy.deepcopy(model)
    for name, module in list(made.named_modules()):
        if isinstance(module, nn.Linear) and name.endswith("_proj"):
            made.set_submodule(name, QUANTISERS[kind](module))
    return made


@pytest.mark.parametrize("kind", list(QUANTISERS))
def test_top_1_tokens_agree(trained, kind, record_property):
    ids = texts(256, 16, 10_000)
    model = quantised(trained, kind)
    for module in model.modules():
        settle(module)
    if kind == "ternary":  # rounding after training loses what was learnt; what is compared are both forms of the rest
        assert isinstance(model.get_submodule("model.layers.0.mlp.up_proj"), BitLinear)
    expected = logits(model, ids)
    factored = get_peft_model(copy.deepcopy(model), SVFConfig(forward="factored")).eval()
    assert far(logits(factored, ids), expected) == 0
    dense = get_peft_model(copy.deepcopy(model), SVFConfig(forward="materialised")).eval()
    found = logits(dense, ids)
    merged = logits(get_peft_model(copy.deepcopy(model), SVFConfig()).merge_and_unload(), ids)
    assert far(merged, found) <= 1e-4
    agreement = float((found.argmax(-1) == expected.argmax(-1)).double().mean())
    record_property("agreement", agreement)
    print(kind, "agreement", agreement, "of", ids.numel(), "tokens")
    assert agreement >= 0.99


@pytest.mark.parametrize("kind", list(QUANTISERS))
def test_adapters_on_a_quantised_base(trained, kind, tmp_path):
    ids = texts(2, 12, 20_000)
    model = get_peft_model(quantised(trained, kind), SVFConfig()).eval()  # auto
    shake(model, size=0.2)
    first = logits(model, ids)
    assert all(layer._kept is None for layer in svf_layers(model))  # no floating copy of the weights
    model.save_pretrained(tmp_path)
    used = quantised(trained, kind)
    logits(used, ids)  # a first pass may rearrange the weights in place
    loaded = PeftModel.from_pretrained(used, tmp_path)
    assert far(logits(loaded, ids), first) <= 0.01 * float(first.abs().max())
    with pytest.raises(AdapterError, match="another base"):
        PeftModel.from_pretrained(copy.deepcopy(trained), tmp_path)
    again = logits(loaded, ids)
    loaded.merge_adapter()
    assert far(logits(loaded, ids), first) <= 0.1 * float(first.abs().max())  # INT8 and ternary modules round inputs
    loaded.unmerge_adapter()
    assert far(logits(loaded, ids), again) == 0


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_on_a_base_that_is_loaded_quantised(quantisation, tmp_path):
    made = make_tiny_base()
    made.model.save_pretrained(tmp_path / "model")
    made.tokenizer.save_pretrained(tmp_path / "model")
    base = load_base(str(tmp_path / "model"), quantisation=quantisation)
    expected = logits(base.model)
    model = inject(own_copy(base).model, ADAPTERS["svf"].make_config(None, None, base.model), 0)
    assert far(logits(model), expected) == 0
    shake(model, size=0.1)
    changed = logits(model)
    assert far(changed, expected) > 0.1
    save_adapter(tmp_path / "adapter", base, model.peft_config["default"], adapter_state(model))
    assert far(logits(load_adapter(base, tmp_path / "adapter")), changed) == 0
    assert far(logits(base.model), expected) == 0
    assert far(logits(model), changed) == 0  # whoever shares the weights


def test_gradients_reach_p_on_a_four_bit_base(trained):
    ids = texts(2, 12, 20_000)
    model = get_peft_model(quantised(trained, "nf4"), SVFConfig()).train()
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(float(layer.svf_p["default"].grad.abs().max()) > 0 for layer in svf_layers(model))


def test_dora_on_8_bit_modules_of_bitsandbytes_on_a_cpu_is_refused(trained):
    model = quantised(trained, "int8")
    with pytest.raises(AdapterError, match="cannot run DoRA on INT8"):
        inject(model, ADAPTERS["dora"].make_config(4, None, model), 0)

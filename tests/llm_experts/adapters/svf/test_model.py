"""SVF as a method of PEFT: identity, gradient, files, switching, merging, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.lora.conversion import convert_to_lora
from peft.utils import PeftType
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from llm_experts.adapters import svf
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.kind import ALL_LINEAR
from llm_experts.adapters.svf import SVFConfig, SVFModel, captured_energy, expert_vectors, svf_layers
from tests.llm_experts.adapters.svf.svf_fixtures import IDS, far, logits, own_cache, shake, svf_model  # noqa: F401
from tests.llm_experts.conftest import make_tiny_base

FORWARDS = ("auto", "factored", "materialised")


def test_registering_again_changes_nothing():
    before = list(PeftType)
    svf.register()
    svf.config.peft_type("SVF")
    assert list(PeftType) == before
    assert PeftType("SVF") is PeftType.SVF is svf.config.SVF
    assert PEFT_TYPE_TO_CONFIG_MAPPING["SVF"] is SVFConfig
    assert PEFT_TYPE_TO_TUNER_MAPPING["SVF"] is SVFModel


@pytest.mark.parametrize("forward", FORWARDS)
@pytest.mark.parametrize("renormalise", [False, True])
def test_starts_as_the_base(tiny_base, forward, renormalise):
    base = logits(tiny_base.model)
    model = svf_model(tiny_base, forward=forward, renormalise=renormalise)
    assert far(logits(model), base) <= 1e-6
    assert model.get_nb_trainable_parameters()[0] == 3 * (32 * 2 + 64 * 5)  # k and v are 32 wide, all else 64


@pytest.mark.parametrize("forward", ["factored", "materialised"])
@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_gradient_is_that_of_the_singular_values(forward, renormalise, shape):
    out, inner = shape
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.utils.skip_init(nn.Linear, inner, out))
    weight, bias = torch.randn(out, inner, generator=generator), torch.randn(out, generator=generator)
    model[0].load_state_dict({"weight": weight, "bias": bias})
    peft = get_peft_model(model, SVFConfig(target_modules=["0"], forward=forward, renormalise=renormalise)).double()
    shake(peft, size=0.5)
    p = svf_layers(peft)[0].svf_p["default"]
    x, target = (torch.randn(7, d, generator=generator, dtype=torch.float64) for d in (inner, out))

    def loss() -> torch.Tensor:
        return (peft(x) - target).square().sum()

    (found,) = torch.autograd.grad(loss(), p)
    for i in range(len(p)):
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                p[i] += step
                ends.append(float(loss()))
                p[i] -= step
        assert float(found[i]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-6)
    if not renormalise:  # dL/dp_i = z_i sigma_i u_i' (dL/dW) v_i
        changed = svf_layers(peft)[0].changed_weight(p.detach().expm1()).requires_grad_()
        (full,) = torch.autograd.grad((x @ changed.T + bias - target).square().sum(), changed)
        u, s, v = torch.linalg.svd(weight.double(), full_matrices=False)
        expected = p.detach().exp() * s * torch.einsum("oi,ok,ki->k", full, u, v)  # v: rows are the right vectors
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_changed_weight_has_the_scaled_singular_values():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.utils.skip_init(nn.Linear, 6, 4, bias=False))
    model[0].load_state_dict({"weight": torch.randn(4, 6, generator=generator)})
    s = torch.linalg.svdvals(model[0].weight.detach())
    peft = get_peft_model(model, SVFConfig(target_modules=["0"]))
    z = torch.tensor([0.5, 1.0, 2.0, 3.0])
    svf.assign_vectors(peft, {"0": z})
    changed = peft.merge_and_unload()[0].weight
    torch.testing.assert_close(torch.linalg.svdvals(changed), (s * z).sort(descending=True).values)
    # what all multipliers have in common goes when sums are kept
    again = nn.Sequential(nn.utils.skip_init(nn.Linear, 6, 4, bias=False))
    again[0].load_state_dict({"weight": changed.detach()})
    kept = get_peft_model(again, SVFConfig(target_modules=["0"], renormalise=True))
    with torch.no_grad():
        svf_layers(kept)[0].svf_p["default"].fill_(0.7)
    torch.testing.assert_close(expert_vectors(kept)["0"], torch.ones(4))
    shake(kept)
    assert float(torch.linalg.matrix_norm(kept.merge_and_unload()[0].weight, "nuc")) == pytest.approx(
        float(torch.linalg.matrix_norm(changed, "nuc")), rel=1e-5
    )


@pytest.mark.parametrize("forward", FORWARDS)
def test_forms_agree(forward):
    model = svf_model(make_tiny_base(), forward="factored")
    other = svf_model(make_tiny_base(), forward=forward)
    shake(model)
    shake(other)
    assert far(logits(model), logits(other)) <= 1e-4  # logits of size 10
    shake(other, seed=1)
    shake(model, seed=1)  # what was materialised before is not used
    assert far(logits(model), logits(other)) <= 1e-4


def test_data_written_past_autograd_is_seen(tiny_base):
    model = svf_model(tiny_base, forward="materialised")
    base = logits(model)
    for layer in svf_layers(model):
        layer.svf_p["default"].data.fill_(0.5)  # moves no version counter
    changed = logits(model)
    assert far(changed, base) > 0.1
    model.double()
    assert far(logits(model).float(), changed) <= 1e-3


@pytest.mark.parametrize("renormalise", [False, True])
def test_save_load_switch(tmp_path: Path, renormalise):
    model = svf_model(make_tiny_base(), renormalise=renormalise, rank=20)
    model.add_adapter("second", SVFConfig(task_type="CAUSAL_LM", rank=5))
    shake(model)
    shake(model, "second", seed=1)
    first = logits(model)
    model.set_adapter("second")
    second = logits(model)
    assert min(far(first, second), far(second, logits(make_tiny_base().model))) > 0.1
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "adapter_config.json").read_text())
    assert stored["peft_type"] == "SVF"
    assert stored["spectrum_hash"] == svf.spectrum_hash(model, "default")
    assert stored["target_modules"] == sorted(ALL_LINEAR)
    assert isinstance(PeftConfig.from_pretrained(tmp_path), SVFConfig)

    loaded = PeftModel.from_pretrained(make_tiny_base().model, tmp_path)
    assert far(logits(loaded), first) == 0
    loaded.load_adapter(tmp_path / "second", "other name")
    loaded.load_adapter(tmp_path / "second", "lean", low_cpu_mem_usage=True)
    for name, expected in (("other name", second), ("default", first), ("lean", second)):
        loaded.set_adapter(name)
        assert far(logits(loaded), expected) == 0
    with loaded.disable_adapter():
        assert far(logits(loaded), logits(make_tiny_base().model)) == 0
    loaded.delete_adapter("other name")
    assert far(logits(loaded), second) == 0
    assert sorted(loaded.peft_config) == ["default", "lean"]
    assert all("other name" not in layer.settings for layer in svf_layers(loaded))


def test_a_file_holds_p_alone_and_is_smaller_than_lora(tmp_path: Path, record_property):
    sizes = {}
    configs = {
        "svf": SVFConfig(),
        "lora8": LoraConfig(r=8, target_modules=list(ALL_LINEAR)),
        "lora16": LoraConfig(r=16, target_modules=list(ALL_LINEAR)),
    }
    for name, config in configs.items():
        model = get_peft_model(make_tiny_base(hidden=128).model, config)
        model.save_pretrained(tmp_path / name)
        sizes[name] = (tmp_path / name / "adapter_model.safetensors").stat().st_size
        if name == "svf":
            from safetensors.torch import load_file

            tensors = load_file(tmp_path / name / "adapter_model.safetensors")
            assert len(tensors) == 3 * 7
            assert all(key.endswith(".svf_p") and t.ndim == 1 for key, t in tensors.items())
    record_property("bytes", sizes)
    print("bytes on disk", sizes)
    assert sizes["svf"] * 10 < sizes["lora8"] < sizes["lora16"]


def test_trains_only_p_and_the_loss_falls(tiny_base):
    model = svf_model(tiny_base)
    before = {n: t.clone() for n, t in model.state_dict().items() if "svf_" not in n}
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        n for n, _ in model.named_parameters() if "svf_p" in n
    ]
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(8):
        loss = model(input_ids=IDS, labels=IDS).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.2
    after = model.state_dict()
    assert all(torch.equal(t, after[n]) for n, t in before.items())


def test_merging(tiny_base):
    weights = {name: p.detach().clone() for name, p in tiny_base.model.named_parameters()}
    model = svf_model(tiny_base)
    model.add_adapter("second", SVFConfig(task_type="CAUSAL_LM", rank=7))
    shake(model)
    shake(model, "second", seed=1)
    first = logits(model)
    model.base_model.set_adapter(["default", "second"])
    both = logits(model)
    model.merge_adapter(["default"])
    assert far(logits(model), first) <= 1e-5
    with pytest.warns(UserWarning, match="additionally merging second"):
        model.merge_adapter(["second"])
    assert far(logits(model), both) <= 1e-5
    with pytest.raises(AdapterError, match="call unmerge_adapter"), svf.svf_mixture(model, ["second"], torch.ones(1)):
        pass
    model.unmerge_adapter()
    model.unmerge_adapter()
    assert far(logits(model), both) == 0
    model.set_adapter("default")
    merged = model.merge_and_unload(safe_merge=True)
    assert far(logits(merged), first) <= 1e-5
    assert not svf_layers(merged)
    assert {type(m) for m in merged.model.layers[0].mlp.children()} >= {nn.Linear}
    # nothing was written into the weights that the base shares with other users of it
    assert all(torch.equal(weights[n], p) for n, p in tiny_base.model.named_parameters() if "_proj" not in n)


def test_unloading_gives_the_very_base_back(tiny_base):
    weights = dict(tiny_base.model.named_parameters())
    model = svf_model(tiny_base)
    shake(model)
    model.merge_adapter()
    model.unmerge_adapter()
    plain = model.unload()
    found = dict(plain.named_parameters())
    assert found.keys() == weights.keys()
    assert all(found[name] is p for name, p in weights.items())


def test_rank_tunes_the_largest_singular_values():
    model = svf_model(make_tiny_base(), rank=10)
    layer = svf_layers(model)[0]
    assert layer.svf_p["default"].shape == (10,)
    assert layer.svf_u.shape == (64, 10)
    model.add_adapter("all", SVFConfig(task_type="CAUSAL_LM", rank=10_000))
    assert layer.svf_u.shape == (64, 64)
    energy = captured_energy(model)
    s = torch.linalg.svdvals(layer.base_layer.weight).double().square()
    name = "model.layers.0.self_attn.q_proj"
    assert energy[name] == pytest.approx(float(s[:10].sum() / s.sum()), rel=1e-5)
    assert captured_energy(model, "all")[name] == pytest.approx(1)


def test_layers_can_be_chosen():
    model = svf_model(make_tiny_base(), target_modules=["down_proj"], layers_to_transform=[1], layers_pattern="layers")
    assert list(expert_vectors(model)) == ["model.layers.1.mlp.down_proj"]
    everything = svf_model(make_tiny_base(), target_modules="all-linear", exclude_modules=["up_proj"])
    assert len(svf_layers(everything)) == 3 * 6


def test_an_adapter_for_another_base_is_refused(tmp_path: Path):
    model = svf_model(make_tiny_base())
    shake(model)
    model.save_pretrained(tmp_path)
    other = make_tiny_base(seed=1)
    expected = logits(other.model)
    with pytest.raises(AdapterError, match="an adapter for another base"):
        PeftModel.from_pretrained(other.model, tmp_path)
    assert not svf_layers(other.model)  # as it was
    assert far(logits(other.model), expected) == 0
    wider = svf_model(make_tiny_base(hidden=128))
    with pytest.raises(AdapterError, match="an adapter for another base"):
        wider.load_adapter(tmp_path, "second")
    assert list(wider.peft_config) == ["default"]
    assert all(list(layer.svf_p) == ["default"] for layer in svf_layers(wider))
    # a bfloat16 base is another one, its float32 copy is the same
    half = make_tiny_base().model.bfloat16()
    with pytest.raises(AdapterError, match="in the same precision"):
        PeftModel.from_pretrained(half, tmp_path)


def test_float32_copies_of_bfloat16_weights_are_the_same_base(tmp_path: Path):
    base = make_tiny_base()
    base.model.bfloat16()
    model = svf_model(base)
    assert {layer.svf_p["default"].dtype for layer in svf_layers(model)} == {torch.float32}
    shake(model, size=0.1)
    model.save_pretrained(tmp_path)
    same = make_tiny_base()
    same.model.bfloat16().float()
    loaded = PeftModel.from_pretrained(same.model, tmp_path)
    assert far(logits(model).float(), logits(loaded)) < 0.5  # logits of size 10


def test_a_configuration_serves_several_bases():
    config = SVFConfig(target_modules=["q_proj"])
    hashes = []
    for seed in (0, 1):
        model = get_peft_model(make_tiny_base(seed=seed).model, config)
        hashes.append(model.peft_config["default"].spectrum_hash)
        assert config.spectrum_hash == hashes[-1]
    assert hashes[0] != hashes[1]


def test_transposed_weights_of_conv1d():
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    with torch.random.fork_rng(devices=[]):
        gpt = GPT2LMHeadModel(config).eval()
    ids = torch.arange(8)[None]
    base = logits(gpt, ids)
    model = get_peft_model(gpt, SVFConfig(target_modules=["c_attn", "c_fc"], forward="factored")).eval()
    assert far(logits(model, ids), base) == 0
    shake(model)
    changed = logits(model, ids)
    assert far(changed, base) > 1e-3
    assert far(logits(model.merge_and_unload(), ids), changed) <= 1e-5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rank": 0}, "rank starts at 1"),
        ({"forward": "fast"}, "choose one of auto, factored, materialised"),
        ({"target_modules": "all-linear", "layers_to_transform": [0]}, "PEFT ignores layers_to_transform"),
        ({"target_modules": ["q_proj"], "layers_pattern": "layers"}, "give both"),
    ],
)
def test_contradicting_configurations_are_refused(options, text):
    with pytest.raises(AdapterError, match=text):
        SVFConfig(**options)


def test_what_has_no_matrix_is_refused(tiny_base):
    with (
        pytest.raises(AdapterError, match=r"embed_tokens: A module of type Embedding has no matrix"),
        pytest.warns(UserWarning, match="tied layer"),
    ):
        svf_model(tiny_base, target_modules=["q_proj", "embed_tokens"])
    assert not svf_layers(tiny_base.model)


@pytest.mark.filterwarnings("ignore:You are trying to modify a model with PEFT for a second time")
@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute")
def test_another_methods_module_is_refused(tiny_base):
    get_peft_model(tiny_base.model, IA3Config(target_modules=["q_proj"], feedforward_modules=[]))
    with pytest.raises(AdapterError, match="carries an adapter of another method"):
        svf_model(tiny_base, target_modules=["q_proj"])


def test_peft_converts_it_to_lora():
    model = svf_model(make_tiny_base(), target_modules=["k_proj", "v_proj"])
    shake(model)
    config, state = convert_to_lora(model, rank=32)
    lora = get_peft_model(make_tiny_base().model, config).eval()
    assert not set_peft_model_state_dict(lora, state).unexpected_keys
    assert far(logits(lora), logits(model)) <= 1e-4


def test_mixed_batches_by_adapter_names():
    base = logits(make_tiny_base().model)
    model = svf_model(make_tiny_base(), forward="factored")
    model.add_adapter("second", SVFConfig(task_type="CAUSAL_LM", rank=9, forward="factored"))
    shake(model)
    shake(model, "second", seed=1)
    alone = {"__base__": base, "default": logits(model)}
    model.set_adapter("second")
    alone["second"] = logits(model)
    names = ["second", "__base__", "default", "second"]
    found = logits(model, adapter_names=names)
    for row, name in enumerate(names):
        assert far(found[row], alone[name][row]) <= 1e-5
    assert far(logits(model, adapter_names=["__base__"] * 4), base) == 0
    with pytest.raises(AdapterError, match="no SVF adapter 'third'"):
        logits(model, adapter_names=["third"] * 4)
    with pytest.raises(AdapterError, match="2 rows and the batch has 4"):
        logits(model, adapter_names=["second"] * 2)


def test_injections_into_copies_share_the_singular_vectors() -> None:
    one, other = (svf_model(make_tiny_base()) for _ in range(2))
    pairs = list(zip(svf_layers(one), svf_layers(other), strict=True))
    assert pairs
    for first, second in pairs:
        assert all(getattr(first, name) is getattr(second, name) for name in ("svf_u", "svf_s", "svf_v"))
        assert first.svf_p["default"] is not second.svf_p["default"]
    foreign = svf_layers(svf_model(make_tiny_base(seed=1)))
    assert all(mine.svf_u is not own.svf_u for mine, own in zip(svf_layers(one), foreign, strict=True))

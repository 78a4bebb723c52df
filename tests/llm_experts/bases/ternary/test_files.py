"""Ternary folders of our own and of BitNet: written, read, and refused where they are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key, base_key_of
from llm_experts.bases.load import load_base
from llm_experts.bases.quantised import quantised_modules
from llm_experts.bases.quantising import linear_names, quantised
from llm_experts.bases.ternary import TernaryLinear, ternary
from llm_experts.bases.ternary.files import write_ternary
from tests.llm_experts.conftest import make_tiny_base

PLACE = "model.layers.1.mlp.up_proj"


def logits(base: Base, text: str = "The applicant's age is 23 years.") -> Tensor:
    model: Any = base.model
    return model(input_ids=torch.tensor([base.tokenizer(text).input_ids])).logits  # type: ignore[no-any-return]


def refusal(*args: Any, **options: Any) -> str:
    with pytest.raises(BaseError) as caught:
        load_base(*map(str, args), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, folder = make_tiny_base(), tmp_path_factory.mktemp("plain")
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("group", "dtype"), [(None, "float32"), (24, "float32"), (None, "bfloat16")])
def test_a_folder_gives_back_what_was_written(group: int | None, dtype: str, plain: Path, tmp_path: Path) -> None:
    base = quantised(load_base(str(plain), dtype=dtype), "ternary", group=group)
    write_ternary(base, tmp_path / "made")
    found = load_base(str(tmp_path / "made"), dtype=dtype)
    assert torch.equal(logits(found), logits(base))
    modules = dict(quantised_modules(found.model))
    assert sorted(modules) == sorted(linear_names(make_tiny_base().model)) and len(modules) == 3 * 7
    for name, module in quantised_modules(base.model):
        other: Any = modules[name]
        assert isinstance(module, TernaryLinear) and type(other) is TernaryLinear and other.group == group
        assert torch.equal(module.codes, other.codes) and torch.equal(module.scales, other.scales)
        assert other.scales.dtype == torch.float32
    assert base_key(found) == base_key_of(str(tmp_path / "made"), dtype)
    assert found.hash != base.hash and found.quantisation == "none" and base.quantisation == "ternary"
    config: Any = found.model.config
    assert not hasattr(config, "quantization_config") and not any(p.requires_grad for p in found.model.parameters())
    weights = load_file(tmp_path / "made" / "model.safetensors")
    assert weights[PLACE + ".codes"].numel() == -(-64 * 128 // 5) and PLACE + ".weight" not in weights


def test_on_loading_all_layers_are_rounded_and_nothing_else(plain: Path) -> None:
    base, exact = load_base(str(plain), quantisation="ternary"), load_base(str(plain))
    for name, module in quantised_modules(base.model):
        assert torch.equal(module.weight, ternary(exact.model.get_submodule(name).weight).dequantised())
    model, plain_model = base.model, exact.model
    assert torch.equal(model.get_input_embeddings().weight, plain_model.get_input_embeddings().weight)
    assert type(model.get_output_embeddings()) is nn.Linear
    assert base.quantisation == "ternary" and base.hash == exact.hash and base_key(base) != base_key(exact)
    assert base_key(base) == base_key_of(str(plain), quantisation="ternary")


@pytest.fixture
def own(plain: Path, tmp_path: Path) -> Path:
    write_ternary(load_base(str(plain), quantisation="ternary"), tmp_path / "own")
    return tmp_path / "own"


def change(folder: Path, what: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    what(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def configure(folder: Path, **facts: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] |= facts
    (folder / "config.json").write_text(json.dumps(config))


def test_damaged_weights(own: Path) -> None:
    change(own, lambda weights: weights[PLACE + ".codes"].fill_(250))
    assert "stand for no codes" in refusal(own)
    change(own, lambda weights: weights.update({PLACE + ".codes": weights[PLACE + ".codes"][:-1].clone()}))
    assert "cannot be loaded" in refusal(own)
    change(own, lambda weights: weights.pop(PLACE + ".codes"))
    assert "lacks 1 of its weights" in refusal(own)


def test_a_scale_that_is_no_number(own: Path) -> None:
    change(own, lambda weights: weights[PLACE + ".scales"].fill_(float("nan")))
    assert "not finite" in refusal(own)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"group": 0}, "groups of 0"),
        ({"group": "many"}, "groups of 'many'"),
        ({"modules": []}, "does not list"),
        ({"modules": ["model.norm"]}, "no linear module"),
    ],
)
def test_a_configuration_that_does_not_fit(own: Path, facts: dict[str, Any], words: str) -> None:
    configure(own, **facts)
    assert words in refusal(own)


@pytest.mark.parametrize("quantisation", ["ternary", "nf4", "int8"])
def test_weights_are_not_rounded_twice(own: Path, quantisation: str) -> None:
    assert "a second time" in refusal(own, quantisation=quantisation)
    with pytest.raises(BaseError, match="quantised already"):
        quantised(load_base(str(own)), quantisation)


def test_what_is_not_ternary_is_not_written(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="no ternary weights"):
        write_ternary(load_base(str(plain)), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def bitnet(folder: Path, place: Path, linear_class: str, mode: str = "offline", **more: Any) -> dict[str, Tensor]:
    """A BitNet checkpoint as others write it, and the matrices that it stands for."""
    from transformers.integrations.bitnet import pack_weights

    base: Any = load_base(str(folder))
    weights, meant = {k: v.clone() for k, v in base.model.state_dict().items() if k != "lm_head.weight"}, {}
    for name in linear_names(base.model):
        found = ternary(weights[name + ".weight"])
        meant[name] = found.dequantised()
        if mode == "offline":
            packed = linear_class == "bitlinear"
            weights[name + ".weight"] = pack_weights(found.codes.clone()) if packed else found.codes.float()
            weights[name + ".weight_scale"] = (1 / found.scales if packed else found.scales).reshape(1)
    base.model.save_pretrained(place)
    base.tokenizer.save_pretrained(place)
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((place / "config.json").read_text())
    told = {"quant_method": "bitnet", "linear_class": linear_class, "quantization_mode": mode, **more}
    (place / "config.json").write_text(json.dumps(config | {"quantization_config": told}))
    return meant


@pytest.mark.parametrize(
    ("linear_class", "mode"), [("bitlinear", "offline"), ("autobitlinear", "offline"), ("autobitlinear", "online")]
)
def test_bitnet_checkpoints(linear_class: str, mode: str, plain: Path, tmp_path: Path) -> None:
    meant = bitnet(plain, tmp_path, linear_class, mode)
    base = load_base(str(tmp_path))
    found = dict(quantised_modules(base.model))
    assert sorted(found) == sorted(meant)
    for name, module in found.items():
        torch.testing.assert_close(module.weight, meant[name], rtol=1e-6, atol=0)
    expected = load_base(str(plain), quantisation="ternary")
    torch.testing.assert_close(logits(base), logits(expected), rtol=0, atol=1e-4)
    assert base.quantisation == "none" and not hasattr(base.model.config, "quantization_config")


def test_bitnet_modules_round_their_inputs_and_ours_do_not(plain: Path, tmp_path: Path) -> None:
    """What is left out is what 8 bits of the inputs change: next to nothing here."""
    from transformers import AutoModelForCausalLM

    bitnet(plain, tmp_path, "bitlinear")
    base = load_base(str(tmp_path))
    loader: Any = AutoModelForCausalLM
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        model = loader.from_pretrained(tmp_path, local_files_only=True).eval()
        theirs = model(input_ids=torch.tensor([base.tokenizer("The applicant's age is 23 years.").input_ids])).logits
    difference = float((theirs - logits(base)).norm() / logits(base).norm())
    assert 1e-4 < difference < 0.1


def test_bitnet_checkpoints_that_no_matrix_says(plain: Path, tmp_path: Path) -> None:
    bitnet(plain, tmp_path, "bitlinear", use_rms_norm=True)
    change(tmp_path, lambda weights: weights.update({
        name.replace("weight_scale", "rms_norm.weight"): torch.ones(128 if "down_proj" in name else 64)
        for name in list(weights) if name.endswith("weight_scale")
    }))  # fmt: skip
    assert "normalises its own input" in refusal(tmp_path)


def test_bitnet_weights_that_are_not_ternary(plain: Path, tmp_path: Path) -> None:
    bitnet(plain, tmp_path, "autobitlinear")
    change(tmp_path, lambda weights: weights[PLACE + ".weight"].fill_(0.5))
    assert "other than -1, 0 and 1" in refusal(tmp_path)

"""Adapters on disk: PEFT's format, bound to a base, refused when anything is odd."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from foundation.hashing import hash_file
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import ADAPTERS, KINDS
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import FACTS, adapter_bytes, load_adapter, read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.bases.rope import rescaled
from llm_experts.bases.scaling import RopeScaling
from tests.llm_experts.conftest import make_tiny_base

IDS = torch.tensor([[5, 9, 31, 7, 80], [11, 12, 13, 14, 15]])
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module")
def tiny_base() -> Base:
    """One for all tests of this file: adapters are injected into copies."""
    return make_tiny_base()


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return found


def trained(base: Base, kind: str) -> PeftModel:
    copy = own_copy(base)
    model = inject(copy.model, ADAPTERS[kind].make_config(4, None, copy.model), 0)
    generator = torch.Generator().manual_seed(1)
    state = adapter_state(model)
    set_adapter_state(model, {k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in state.items()})
    return model


def saved(base: Base, folder: Path, kind: str = "lora") -> PeftModel:
    model = trained(base, kind)
    save_adapter(folder, base, model.peft_config["default"], adapter_state(model), {"objective": "utility", "seed": 3})
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_is_what_was_saved(tiny_base: Base, tmp_path: Path, kind: str) -> None:
    model = saved(tiny_base, tmp_path / "a", kind)
    expected = logits(model)
    assert (expected[:, -1] - logits(tiny_base.model)[:, -1]).abs().max() > 1e-3
    loaded = load_adapter(tiny_base, tmp_path / "a", "mine")
    assert torch.equal(logits(loaded), expected)
    assert not any(p.requires_grad for p in loaded.parameters())
    found = read_adapter(tmp_path / "a")
    assert (found.kind, found.base_id, found.base_hash) == (kind, tiny_base.id, tiny_base.hash)
    assert found.facts == {"objective": "utility", "seed": 3} and found.libraries.keys() >= {"peft", "torch"}
    again = inject(own_copy(tiny_base).model, found.config, None)
    set_adapter_state(again, found.state)
    assert torch.equal(logits(again), expected)


def test_an_adapter_belongs_to_the_rope_scaling_that_it_was_trained_with(tiny_base: Base, tmp_path: Path) -> None:
    scaled = rescaled(tiny_base, "yarn:4")
    saved(scaled, tmp_path / "long", "lora")
    saved(tiny_base, tmp_path / "plain", "lora")
    assert read_adapter(tmp_path / "long").rope_scaling == RopeScaling("yarn", 4.0)
    load_adapter(scaled, tmp_path / "long")
    for base, folder in ((tiny_base, "long"), (scaled, "plain"), (rescaled(tiny_base, "yarn:2"), "long")):
        with pytest.raises(AdapterError, match=r"Load the base with rope_scaling='(yarn:4|none)'"):
            load_adapter(base, tmp_path / folder)
    facts = tmp_path / "long" / FACTS
    facts.write_text(facts.read_text().replace('"yarn"', '"yarrow"'))
    with pytest.raises(AdapterError, match="yarrow"):
        read_adapter(tmp_path / "long")


@pytest.mark.parametrize("kind", KINDS)
def test_the_library_reads_our_folders_and_we_write_what_it_writes(tiny_base: Base, tmp_path: Path, kind: str) -> None:
    model = saved(tiny_base, tmp_path / "ours", kind)
    theirs = PeftModel.from_pretrained(own_copy(tiny_base).model, tmp_path / "ours").eval()
    assert (logits(theirs) - logits(model)).abs().max() == 0.0
    model.save_pretrained(tmp_path / "theirs", save_embedding_layers=False)
    ours, peft = (load_file(tmp_path / place / "adapter_model.safetensors") for place in ("ours", "theirs"))
    assert ours.keys() == peft.keys()
    assert all(torch.equal(ours[key], peft[key]) for key in ours)


def test_the_same_adapter_has_the_same_bytes(tiny_base: Base, tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tiny_base, tmp_path / name, "lora")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors", "fairmoe.json"]
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert adapter_bytes(tmp_path / "a") == sum((tmp_path / "a" / f).stat().st_size for f in files)
    saved(tiny_base, tmp_path / "a", "ia3")  # replaces
    assert read_adapter(tmp_path / "a").kind == "ia3"


def test_another_base_is_refused_with_both_hashes(tiny_base: Base, tmp_path: Path) -> None:
    saved(tiny_base, tmp_path / "a")
    other = replace(tiny_base, hash="0" * 64, id="other")
    with pytest.raises(AdapterError) as error:
        load_adapter(other, tmp_path / "a")
    text = str(error.value)
    assert tiny_base.hash in text and "0" * 64 in text and "train the adapter on this one" in text


def forge(folder: Path, change) -> None:
    """Change fairmoe.json so that its checksums are right again."""
    written = json.loads((folder / "fairmoe.json").read_text())
    change(written)
    written["sha256"] = {name: hash_file(folder / name) for name in written["sha256"]}
    (folder / "fairmoe.json").write_text(json.dumps(written))


def test_truncated_and_changed_files_are_refused(tiny_base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    saved(tiny_base, folder)
    path = folder / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors is not what was written"):
        read_adapter(folder)
    forge(folder, lambda _: None)
    with pytest.raises(AdapterError, match="cannot be read"):
        read_adapter(folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AdapterError, match="not what was written"):
        read_adapter(folder)
    path.write_bytes(whole)
    (folder / "adapter_config.json").write_text('{"peft_type": "LO')
    with pytest.raises(AdapterError, match="is no JSON"):
        read_adapter(folder)
    (folder / "adapter_config.json").write_text("[]")
    with pytest.raises(AdapterError, match="holds a list"):
        read_adapter(folder)
    path.unlink()
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors is missing"):
        read_adapter(folder)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("peft_type", "NONSENSE", "no configuration that PEFT"),
        ("no_such_field", 1, "no configuration that PEFT"),
        ("use_dora", True, "says kind lora"),
        ("peft_type", "LOHA", "no configuration|not one of the adapter kinds"),
        ("r", 8, "The rank or the base differs"),
        ("target_modules", ["q_proj"], "keys differ"),
        ("init_lora_weights", "pissa", "changes the base's weights"),
        ("modules_to_save", ["lm_head"], "changes more than the adapter"),
    ],
)
def test_forged_configurations_are_refused(tiny_base: Base, tmp_path: Path, field: str, value, match: str) -> None:
    folder = tmp_path / "a"
    saved(tiny_base, folder)
    before = {name: weight.clone() for name, weight in tiny_base.model.state_dict().items()}
    fields = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(fields | {field: value}))
    forge(folder, lambda _: None)
    with pytest.raises(AdapterError, match=match):
        load_adapter(tiny_base, folder)
    assert all(torch.equal(weight, before[name]) for name, weight in tiny_base.model.state_dict().items())


def test_forged_facts_are_refused(tiny_base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    saved(tiny_base, folder)
    forge(folder, lambda facts: facts.pop("base"))
    with pytest.raises(AdapterError, match="lacks or garbles 'base'"):
        read_adapter(folder)
    saved(tiny_base, folder)
    forge(folder, lambda facts: facts.update(kind="dora"))
    with pytest.raises(AdapterError, match="says kind dora"):
        read_adapter(folder)


def test_weights_that_are_not_finite_are_refused(tiny_base: Base, tmp_path: Path) -> None:
    model = saved(tiny_base, tmp_path / "a")
    state = adapter_state(model)
    state[next(iter(state))][0, 0] = torch.nan
    with pytest.raises(AdapterError, match="not finite"):
        save_adapter(tmp_path / "b", tiny_base, model.peft_config["default"], state)
    assert not (tmp_path / "b").exists()
    save_file(state, tmp_path / "a" / "adapter_model.safetensors")
    forge(tmp_path / "a", lambda _: None)
    with pytest.raises(AdapterError, match="not finite"):
        read_adapter(tmp_path / "a")


def test_pickles_are_refused(tiny_base: Base, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    saved(tiny_base, folder)
    (folder / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterError, match="a pickle"):
        read_adapter(folder)
    with pytest.raises(AdapterError, match="is not a folder"):
        read_adapter(folder / "adapter_model.bin")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AdapterError, match="is no adapter of this project"):
        read_adapter(tmp_path / "empty")


def reconfigure(folder: Path, **fields: object) -> None:
    """Change a saved configuration as somebody would who hands adapters out: its sha256 is that of the change."""
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))
    forge(folder, lambda _: None)


def test_a_start_as_a_text_loads_no_tokenizer(tiny_base: Base, tmp_path: Path) -> None:
    """PEFT would load the tokenizer that the adapter names; the weights say all that there is to know."""
    model = trained(tiny_base, "soft_prompt")
    save_adapter(tmp_path / "a", tiny_base, model.peft_config["default"], adapter_state(model))
    named = {"tokenizer_name_or_path": str(tmp_path / "nowhere"), "tokenizer_kwargs": {"use_fast": True}}
    reconfigure(tmp_path / "a", prompt_tuning_init="TEXT", prompt_tuning_init_text="Is it good?", **named)
    assert torch.equal(logits(load_adapter(tiny_base, tmp_path / "a")), logits(model))
    config = read_adapter(tmp_path / "a").config.to_dict()
    assert config["prompt_tuning_init"] == "RANDOM" and config["tokenizer_name_or_path"] is None


def test_configurations_that_load_code_or_tokenizers_are_not_injected(tiny_base: Base, tmp_path: Path) -> None:
    config = ADAPTERS["soft_prompt"].make_config(4, None, tiny_base.model)
    config.prompt_tuning_init, config.tokenizer_name_or_path = "TEXT", str(tmp_path / "nowhere")
    config.prompt_tuning_init_text = "Is it good?"
    with pytest.raises(AdapterError, match="makes PEFT load the tokenizer"):
        inject(own_copy(tiny_base).model, config, 0)
    model = trained(tiny_base, "lora")
    save_adapter(tmp_path / "a", tiny_base, model.peft_config["default"], adapter_state(model))
    reconfigure(tmp_path / "a", megatron_config={"hidden_size": 64}, megatron_core="nowhere.to.be.found")
    with pytest.raises(AdapterError, match="makes PEFT import the module"):
        load_adapter(tiny_base, tmp_path / "a")

"""Multipliers as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import assign_vectors, expert_vectors, read_expert_vectors, write_expert_vectors
from tests.llm_experts.adapters.svf.svf_fixtures import far, logits, own_cache, shake, svf_model  # noqa: F401
from tests.llm_experts.conftest import make_tiny_base


def test_there_and_back(tmp_path: Path):
    model = svf_model(make_tiny_base())
    shake(model)
    vectors = expert_vectors(model)
    assert "model.layers.2.mlp.down_proj" in vectors
    write_expert_vectors(tmp_path / "expert.safetensors", vectors)
    read = read_expert_vectors(tmp_path / "expert.safetensors")
    assert read.keys() == vectors.keys()
    assert all(torch.equal(read[name], z) for name, z in vectors.items())
    other = svf_model(make_tiny_base())
    assign_vectors(other, read)
    assert far(logits(other), logits(model)) <= 1e-4


def test_reads_what_peft_saved(tmp_path: Path):
    model = svf_model(make_tiny_base(), rank=6)
    shake(model)
    model.save_pretrained(tmp_path)
    read = read_expert_vectors(tmp_path)
    for name, z in expert_vectors(model).items():
        torch.testing.assert_close(read[name], z)
    assert read_expert_vectors(tmp_path / "adapter_model.safetensors").keys() == read.keys()


def test_a_renormalised_adapter_needs_its_base(tmp_path: Path):
    model = svf_model(make_tiny_base(), renormalise=True)
    model.save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match="load it onto its base"):
        read_expert_vectors(tmp_path)
    with pytest.raises(AdapterError, match="cannot be given"):
        assign_vectors(model, {})


@pytest.mark.parametrize("name", ["expert.pt", "learnable_params.bin", "old.pkl"])
def test_pickles_are_refused(tmp_path: Path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(AdapterError, match=r"is a pickle.*save_file.*sigmoid\(p\)"):
        read_expert_vectors(tmp_path / name)


def test_files_that_hold_no_vectors(tmp_path: Path):
    with pytest.raises(AdapterError, match="no expert vectors at"):
        read_expert_vectors(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(AdapterError, match="not a safetensors file"):
        read_expert_vectors(tmp_path / "bad.safetensors")
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "lora.safetensors")
    with pytest.raises(AdapterError, match="holds no SVF vectors"):
        read_expert_vectors(tmp_path / "lora.safetensors")


def test_vectors_must_fit():
    model = svf_model(make_tiny_base(), target_modules=["q_proj"], rank=4)
    name = "model.layers.0.self_attn.q_proj"
    assign_vectors(model, {name: torch.tensor([0.0, 1.0, 2.0, 1.0])})
    found = expert_vectors(model)
    torch.testing.assert_close(found[name], torch.tensor([0.0, 1.0, 2.0, 1.0]))
    assert torch.equal(found["model.layers.1.self_attn.q_proj"], torch.ones(4))
    with pytest.raises(AdapterError, match="needs 4 multipliers"):
        assign_vectors(model, {name: torch.ones(5)})
    with pytest.raises(AdapterError, match="at least 0"):
        assign_vectors(model, {name: -torch.ones(4)})
    with pytest.raises(AdapterError, match=r"does not reach model\.layers\.0\.mlp\.up_proj"):
        assign_vectors(model, {"model.layers.0.mlp.up_proj": torch.ones(4)})
    with pytest.raises(AdapterError, match="no SVF adapter 'x'"):
        expert_vectors(model, "x")

"""Weights of codes as float32 weights: the same matrices, the same answers, a folder that loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_experts.bases.agreement import TEXTS, Agreement, agreement
from llm_experts.bases.base import Base
from llm_experts.bases.dequantised import ORIGIN, dequantised, write_base
from llm_experts.bases.error import BaseError
from llm_experts.bases.load import load_base
from llm_experts.bases.quantised import holds_codes, quantised_modules, weight_bytes
from llm_experts.bases.quantising import linear_names, quantised
from llm_experts.bases.sharing import shared_copy
from metrics.proportions import wilson
from tests.llm_experts.conftest import make_tiny_base

KINDS = ("ternary", "nf4", "int8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base, path = make_tiny_base(), tmp_path_factory.mktemp("model")
    base.model.save_pretrained(path)
    base.tokenizer.save_pretrained(path)
    return path


def logits(base: Base, text: str = TEXTS[0]) -> Tensor:
    model: Any = base.model
    return model(input_ids=torch.tensor([base.tokenizer(text).input_ids])).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_those_of_the_codes_and_the_base_stays_as_it_is(kind: str, folder: Path) -> None:
    base = load_base(str(folder), quantisation=kind)
    before = logits(base)
    found = dequantised(base)
    for name, module in quantised_modules(base.model):
        plain: Any = found.model.get_submodule(name)
        assert type(plain) is nn.Linear and torch.equal(plain.weight, module.weight)
    torch.testing.assert_close(logits(found), before, rtol=0, atol=1e-4)
    assert torch.equal(logits(base), before) and holds_codes(base.model) and not holds_codes(found.model)
    assert found.quantisation == "none" and found.hash not in (base.hash, dequantised(make_tiny_base()).hash)
    assert found.hash == dequantised(load_base(str(folder), quantisation=kind)).hash
    model: Any = found.model
    assert model.get_input_embeddings().weight is base.model.get_input_embeddings().weight  # shared, not copied
    assert not hasattr(model.config, "quantization_config")


@pytest.mark.parametrize("kind", KINDS)
def test_in_memory_and_on_loading_the_same_codes(kind: str, folder: Path) -> None:
    exact = load_base(str(folder))
    made, loaded = quantised(exact, kind), load_base(str(folder), quantisation=kind)
    assert torch.equal(logits(made), logits(loaded)) and made.quantisation == kind and made.hash == exact.hash
    assert not holds_codes(exact.model)
    assert [name for name, _ in quantised_modules(made.model)] == [name for name, _ in quantised_modules(loaded.model)]
    weights = sum(exact.model.get_submodule(name).weight.numel() for name in linear_names(exact.model))
    saved = weight_bytes(exact.model) - weight_bytes(made.model)
    tables = 21 * 8 * 4 * (16 + 256) / weights  # of bitsandbytes, 16 and 256 numbers a matrix
    rows = 32 * sum(exact.model.get_submodule(name).out_features for name in linear_names(exact.model)) / weights
    bits = {"ternary": 1.6, "nf4": 4.127 + tables, "int8": 8 + rows}[kind]
    assert saved * 8 / weights == pytest.approx(32 - bits, abs=0.05)


def test_there_is_no_such_quantisation(tiny_base: Base) -> None:
    with pytest.raises(BaseError, match="no quantisation 'int3'"):
        quantised(tiny_base, "int3")


def test_half_precision_becomes_float32_and_tied_weights_stay_tied(folder: Path) -> None:
    base = load_base(str(folder), dtype="bfloat16", quantisation="ternary")
    found = dequantised(base)
    model: Any = found.model
    assert {p.dtype for p in model.parameters()} == {torch.float32} and base.model.dtype == torch.bfloat16
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.dtype == torch.float32 and logits(found).dtype == torch.float32
    assert found.hash != dequantised(load_base(str(folder), quantisation="ternary")).hash


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_loads_and_says_of_what_it_was_made(kind: str, folder: Path, tmp_path: Path) -> None:
    base = dequantised(load_base(str(folder), quantisation=kind))
    write_base(base, tmp_path / "made", {"base": {"id": "tiny", "quantisation": kind}})
    found = load_base(str(tmp_path / "made"))
    assert torch.equal(logits(found), logits(base))
    told = json.loads((tmp_path / "made" / ORIGIN).read_text(encoding="utf-8"))
    assert told == {"base": {"id": "tiny", "quantisation": kind}}
    assert not list(tmp_path.rglob("*.bin")) and "quantization_config" not in found.model.config.to_dict()


def test_codes_are_not_written_as_weights(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="dequantised"):
        write_base(load_base(str(folder), quantisation="ternary"), tmp_path / "made", {})
    assert not (tmp_path / "made").exists()


def changed(base: Base, by: float) -> Base:
    """The base with a head whose bias prefers token 7 by so much."""
    model: Any = shared_copy(base.model)
    head = model.get_output_embeddings()
    made = nn.Linear(head.in_features, head.out_features, device="meta")
    made.weight = head.weight
    made.bias = nn.Parameter(torch.zeros(head.out_features).index_fill(0, torch.tensor(7), by), requires_grad=False)
    model.set_output_embeddings(made)
    return replace(base, model=model)


def test_a_base_agrees_with_itself(tiny_base: Base) -> None:
    found = agreement(tiny_base, tiny_base)
    assert (found.same, found.top1, found.largest) == (found.n, 1.0, 0.0) and found.enough
    assert (found.low, found.high) == wilson(found.n, found.n)
    assert found.divergence.estimate == found.relative.estimate == 0.0
    assert found.perplexity == found.reference_perplexity
    assert found.n == sum(len(tiny_base.tokenizer(text).input_ids) - 1 for text in TEXTS) and found.texts == len(TEXTS)


def test_numbers_by_hand(tiny_base: Base) -> None:
    """A bias of one token: its logit alone differs, and sums over the vocabulary are told in closed form."""
    other = changed(tiny_base, 3.0)
    found = agreement(tiny_base, other, TEXTS[:5])
    rows = torch.cat([logits(tiny_base, text)[0, :-1] for text in TEXTS[:5]]).double()
    ids = torch.cat([torch.tensor(tiny_base.tokenizer(text).input_ids[1:]) for text in TEXTS[:5]])
    moved = rows.clone()
    moved[:, 7] += 3
    p, q = rows.log_softmax(-1), moved.log_softmax(-1)
    same = int((rows.argmax(-1) == moved.argmax(-1)).sum())
    assert (found.n, found.same, found.top1) == (len(rows), same, same / len(rows)) and same < len(rows)
    assert found.largest == pytest.approx(3, rel=1e-6)
    assert found.divergence.estimate == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-5)
    shift = (moved - rows) - (moved - rows).mean(-1, keepdim=True)
    centred = rows - rows.mean(-1, keepdim=True)
    assert found.relative.estimate == pytest.approx(float(shift.norm() / centred.norm()), rel=1e-5)
    loss = -q.gather(-1, ids[:, None]).mean()
    assert found.perplexity.estimate == pytest.approx(float(loss.exp()), rel=1e-5)
    for value in (found.divergence, found.relative, found.perplexity):
        assert 0 < value.low <= value.estimate <= value.high
    assert not agreement(tiny_base, changed(tiny_base, 40.0), TEXTS[:5]).enough


def test_a_constant_added_to_all_logits_changes_nothing(tiny_base: Base) -> None:
    model: Any = changed(tiny_base, 0.0).model
    model.get_output_embeddings().bias.fill_(5.0)
    found = agreement(tiny_base, replace(tiny_base, model=model))
    assert found.enough and found.relative.estimate < 1e-6 and found.divergence.estimate < 1e-9
    assert found.largest == pytest.approx(5, rel=1e-6)


def test_what_cannot_be_compared(tiny_base: Base) -> None:
    with pytest.raises(BaseError, match="at least two tokens"):
        agreement(tiny_base, tiny_base, ["", "a"])
    with pytest.raises(BaseError, match="no number"):
        agreement(tiny_base, changed(tiny_base, float("nan")))
    model: Any = shared_copy(tiny_base.model)
    model.set_output_embeddings(nn.Linear(64, 3))
    with pytest.raises(BaseError, match="share a vocabulary"):
        agreement(tiny_base, replace(tiny_base, model=model))


def test_as_json_and_back(tiny_base: Base) -> None:
    found = agreement(tiny_base, changed(tiny_base, 1.0), TEXTS[:4])
    assert Agreement.from_dict(found.as_dict()) == found
    assert agreement(tiny_base, changed(tiny_base, 1.0), TEXTS[:4]) == found

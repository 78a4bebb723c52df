"""Longer texts: the library's own numbers for the same parameters, and no row's depend on another's length."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.identify import base_key
from llm_experts.bases.load import load_base
from llm_experts.bases.rope import rescaled, texts_of
from llm_experts.bases.scaling import RopeScaling
from tests.llm_experts.conftest import make_tiny_base

CONTEXT = 32


@pytest.fixture(scope="module")
def base() -> Base:
    found = make_tiny_base(layers=2, hidden=32)
    found.model.config.max_position_embeddings = CONTEXT
    return found


@torch.no_grad()
def logits(model: Any, tokens: int, rows: int = 1) -> torch.Tensor:
    ids = (torch.arange(rows * tokens).view(rows, tokens) ** 2 % 300) + 3
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits  # type: ignore[no-any-return]


def by_library(base: Base, scaling: RopeScaling) -> Any:
    """The library's model with these parameters in its configuration and the base's weights."""
    config = type(base.model.config)(**base.model.config.to_dict())
    own = {**config.rope_parameters, "rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind == "yarn":
        own["original_max_position_embeddings"] = CONTEXT
    if scaling.kind != "dynamic":
        config.max_position_embeddings = int(CONTEXT * scaling.factor)
    config.rope_parameters = own
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    model.load_state_dict(base.model.state_dict())
    return model


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn"])
@pytest.mark.parametrize("tokens", [7, CONTEXT, 3 * CONTEXT])
def test_numbers_are_the_librarys(base: Base, kind: str, tokens: int) -> None:
    scaled = rescaled(base, f"{kind}:4")
    expected = logits(by_library(base, RopeScaling(kind, 4.0)), tokens)
    torch.testing.assert_close(logits(scaled.model, tokens), expected, atol=1e-4, rtol=1e-4)
    changed = kind != "dynamic" or tokens > CONTEXT
    assert torch.allclose(logits(base.model, tokens), expected, atol=1e-3) != changed
    assert (scaled.context, base.context) == (4 * CONTEXT, CONTEXT)
    assert base_key(scaled) == base_key(base) | {"rope": f"{kind}:4"}


def test_a_row_of_a_dynamic_scaling_goes_by_its_own_length(base: Base) -> None:
    scaled: Any = rescaled(base, "dynamic:4").model
    long = logits(scaled, 3 * CONTEXT, 2)
    with texts_of(torch.tensor([CONTEXT, 3 * CONTEXT])):
        found = logits(scaled, 3 * CONTEXT, 2)
    torch.testing.assert_close(found[1], long[1])
    torch.testing.assert_close(found[0], logits(base.model, 3 * CONTEXT, 2)[0], atol=1e-5, rtol=1e-5)


def test_weights_are_shared_and_the_base_stays_as_it_is(base: Base) -> None:
    before = logits(base.model, 20)
    scaled = rescaled(base, {"rope_type": "yarn", "factor": 2.0})
    assert {p.data_ptr() for p in scaled.model.parameters()} == {p.data_ptr() for p in base.model.parameters()}
    assert torch.equal(logits(base.model, 20), before)
    assert rescaled(base, None) is base and rescaled(base, "none") is base


def test_a_scaling_is_chosen_when_a_base_is_loaded(base: Base, tmp_path: Any) -> None:
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    found = load_base(str(tmp_path), rope_scaling="linear:2")
    assert str(found.rope_scaling) == "linear:2" and found.context == 2 * CONTEXT
    assert torch.equal(logits(found.model, 40), logits(rescaled(base, "linear:2").model, 40))


@pytest.mark.parametrize(
    "given", ["ntk:2", "yarn", "yarn:x", "yarn:1", "linear:nan", "dynamic:1e9", {"rope_type": "yarn"}]
)
def test_what_is_no_scaling_is_refused(base: Base, given: Any) -> None:
    with pytest.raises(BaseError, match="rope scaling"):
        rescaled(base, given)


def test_settings_that_would_be_ignored_are_refused(base: Base) -> None:
    with pytest.raises(BaseError, match="beta_fast cannot be set"):
        rescaled(base, {"rope_type": "yarn", "factor": 2.0, "beta_fast": 16})
    with pytest.raises(BaseError, match="only a plain one can be scaled"):
        rescaled(rescaled(base, "yarn:2"), "linear:2")

"""What is said of names and values that cannot be used."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from foundation.refusals import did_you_mean, faults_of


class Inner(BaseModel):
    kind: Literal["a", "b"] = "a"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = Field(default=1, gt=0)
    name: str
    parts: tuple[Inner, ...] = ()

    @field_validator("name")
    @classmethod
    def _is_short(cls, name: str) -> str:
        if len(name) > 3:
            raise ValueError("it is too long; write three letters at most")
        return name


@dataclass(config=ConfigDict(extra="forbid"))
class Options:
    rank: int = 8


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "x", "epochs": 0}, "epochs: Input should be greater than 0 (given: '0')"),
        ({}, "the field name is missing"),
        ({"name": "x", "epoch": 1}, "there is no field 'epoch' (did you mean 'epochs'?)"),
        ({"name": "x", "colour": 1}, "there is no field 'colour'"),
        ({"name": "long"}, "name: it is too long; write three letters at most (given: 'long')"),
        ({"name": "x", "parts": [{"kind": "c"}]}, "parts.0.kind: Input should be 'a' or 'b' (given: 'c')"),
        ({"epochs": 0}, "epochs: Input should be greater than 0 (given: '0'); the field name is missing"),
        ({"name": "\x1b[31m" * 40}, "name: it is too long; write three letters at most (given: '" + "\\x1b[31m" * 16),
    ],
)
def test_a_fault_says_where_what_and_what_was_given(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        Settings.model_validate(values)
    assert faults_of(error.value, Settings.model_fields).startswith(said)


def test_a_fault_of_options_is_told_alike() -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Options).validate_python({"rnak": 1})
    assert faults_of(error.value, ["rank"]) == "there is no field 'rnak' (did you mean 'rank'?)"


def test_the_closest_names_are_told_and_letters_of_another_case_are_close() -> None:
    assert did_you_mean("stf", ["sft", "dpo"]) == "Did you mean 'sft'? "
    assert did_you_mean("dp2", ["dp1", "dp3", "auc"], most=3) == "Did you mean 'dp3' or 'dp1'? "
    assert did_you_mean("AGE", ["age"]) == "Did you mean 'age'? "
    assert did_you_mean("eop", ["eopp", "dp"], told={"eopp": "eopp@1"}) == "Did you mean 'eopp@1'? "
    assert did_you_mean("nothing", ["age", "sex"]) == did_you_mean("x", []) == ""


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=6, unique=True), st.integers(1, 3))
def test_only_known_names_are_told_and_no_more_than_asked_for(name: str, known: list[str], most: int) -> None:
    told = did_you_mean(name, known, most=most)
    named = [one for one in known if repr(one) in told]
    assert bool(told) == bool(named) and told.isprintable()
    if name in known:
        assert repr(name) in told

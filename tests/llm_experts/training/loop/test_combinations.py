"""What is not refused trains, and what is refused would not: on a tiny base, every cell."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import KINDS
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.load import load_base
from llm_experts.data.example import Example
from llm_experts.data.reading import write_examples
from llm_experts.training.loop.assignment import Assignment, Fitted
from llm_experts.training.loop.combinations import Combination, refusal
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.settings import Settings
from llm_experts.training.methods.registry import METHODS
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base

DTYPES, QUANTISATIONS = ("float32", "bfloat16"), ("none", "nf4", "int8", "ternary")
ITEMS = [
    Example(str(n), f"{n} good?", answer, "no" if answer == "yes" else "yes", {"labels": ["yes", "no"]})
    for n, answer in enumerate(("yes", "no", "yes", "no"))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base on disk, wide enough for blocks of 4-bit codes."""
    place = tmp_path_factory.mktemp("base") / "tiny"
    base = make_tiny_base(layers=2, hidden=32)
    base.model.save_pretrained(place)
    base.tokenizer.save_pretrained(place)
    write_examples(place / "earlier.jsonl", [replace(item, rejected=None) for item in ITEMS])
    return place


@cache
def loaded(folder: Path, dtype: str, quantisation: str) -> Base:
    return load_base(str(folder), dtype=dtype, quantisation=quantisation)


def options_of(method: str, folder: Path) -> dict[str, Any]:
    return {
        "distil": {"teacher": str(folder)}, "rl": {"samples": 2, "longest": 3},
        "ewc": {"data": str(folder / "earlier.jsonl"), "items": 2},
    }.get(method, {})  # fmt: skip


def judge(example: Example, answer: str) -> float:
    return float(len(answer) % 2) + 0.25 * (answer.strip() == example.completion)


def trained(base: Base, place: Path, method: str, kind: str, folder: Path, **more: Any) -> Fitted:
    settings = Settings(
        method=method, kind=kind, rank=2, steps=1, batch_size=4, options=options_of(method, folder), **more
    )
    given = Assignment(
        f"{method}-{kind}", ITEMS, ITEMS[:2], settings, judge if method == "rl" else None,
        after=place / f"sft-{kind}" if method == "ewc" else None,
    )  # fmt: skip
    return fit(base, [given], folder=place)[0]


def check(fitted: Fitted) -> None:
    """The step had a finite loss, and a gradient to change weights by."""
    row = fitted.history[-1]
    assert row["step"] == 1 and math.isfinite(row["loss"]), fitted.history
    assert row["gradient"] > 0 and row["lr"] > 0, fitted.history
    assert not fitted.stopped


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_by_what_is_learnt_from_most(kind: str, folder: Path, tmp_path: Path) -> None:
    assert refusal(Combination(kind=kind, method="sft", device="cpu")) == ""
    check(trained(loaded(folder, "float32", "none"), tmp_path, "sft", kind, folder))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "quantisation"), list(product(DTYPES, QUANTISATIONS)))
def test_what_is_not_refused_trains(dtype: str, quantisation: str, folder: Path, tmp_path: Path) -> None:
    base = loaded(folder, dtype, quantisation)
    for kind, method in product(
        KINDS, ("sft", *(method for method in METHODS if method != "sft"))
    ):  # ewc goes on from what sft has trained
        where = Combination(kind=kind, method=method, dtype=dtype, quantisation=quantisation, device="cpu")
        assert refusal(where) == "", where
        check(trained(base, tmp_path, method, kind, folder))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (Combination(dtype="float16", device="cpu"), BaseError),
        (Combination(device="cuda", has_gpu=False), BaseError),
        (Combination(kind="prefix", start=1), AdapterError),
        (Combination(kind="soft_prompt", start=-1), AdapterError),
        (Combination(adapter_options={"dropout": 0.1}), AdapterError),
    ],
)
def test_what_is_refused_would_not_have_worked(given: Combination, error: type[Exception], folder: Path) -> None:
    import torch

    assert refusal(given)
    if given.device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(error):
        base = load_base(str(folder), dtype=given.dtype, device="cpu" if given.device == "auto" else given.device)
        SequenceLanes.fresh(base, given.kind, [2], [0], given.start, given.adapter_options)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Combination(method="dpo", packing=True), "learns from pairs of answers; leave packing out"),
        (Combination(method="rl", packing=True), "learns from answers that it draws itself"),
        (Combination(kind="ia3", engine="trl", weight_decay=0.1), "not the base for ia3 adapters"),
        (Combination(dtype="float16", device="auto", has_gpu=False), "float16 is not supported on a CPU"),
    ],
)
def test_a_refusal_says_why_and_what_instead(given: Combination, words: str) -> None:
    assert words in refusal(given)


@pytest.mark.parametrize("given", [Combination(dtype="float16", has_gpu=True), Combination(kind="svf", packing=True)])
def test_what_only_sounds_alike_is_allowed(given: Combination) -> None:
    assert refusal(given) == ""

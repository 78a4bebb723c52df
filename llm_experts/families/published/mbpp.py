"""MBPP: short Python functions from a sentence and three tests (Austin et al. 2021)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part, Verdict
from llm_experts.families.published.programs import code_in, passes
from llm_experts.families.published.sets import as_it_is, drawn

SOURCE = Source(
    "mbpp",
    "MBPP: mostly basic Python problems",
    "https://github.com/google-research/google-research/tree/master/mbpp",
    "CC BY 4.0",
    "Austin et al. Program Synthesis with Large Language Models. 2021.",
    (
        published_file(
            "mbpp", f"{RAW}/google-research/google-research/master/mbpp", "mbpp.jsonl", 563743,
            "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f", packed=True,
        ),
    ),
    ("Parts are the paper's: problems 11-510 examine, 511-600 validate, 601-974 train; 1-10 are for prompts.",),
)  # fmt: skip
PARTS: dict[Part, range] = {"train": range(601, 975), "validation": range(511, 601), "test": range(11, 511)}


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    (path,) = SOURCE.paths().values()
    with path.open(encoding="utf-8") as lines:
        examples = {record["task_id"]: _example(record) for record in map(json.loads, lines)}
    return {part: [examples[number] for number in own] for part, own in PARTS.items()}


def _example(record: Mapping[str, Any]) -> Example:
    tests = "\n".join(record["test_list"])
    prompt = f"{record['text'].strip()}\nThe code has to pass these tests:\n{tests}\nCode:\n"
    code = record["code"].replace("\r\n", "\n").strip()
    facts = {"tests": list(record["test_list"]), "setup": record["test_setup_code"].replace("\r\n", "\n")}
    return Example(f"mbpp-{record['task_id']}", prompt, code, facts=facts)


def _check(example: Example, answer: str) -> Verdict:
    facts = example.facts
    return passes("\n".join([code_in(answer), facts["setup"], *facts["tests"]]))


FAMILY = Family(
    name="mbpp",
    label="MBPP",
    about="Write a short Python function that passes three tests, which are run in a sandbox.",
    scores=("unit_tests", "pass@1"),
    longest_answer=320,
    make=drawn("mbpp", _parts, as_it_is),
    check=_check,
    published=True,
)

"""HumanEval: Python functions from their signature and description, judged by unit tests (Chen et al. 2021)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part, Verdict
from llm_experts.families.published.programs import code_in, defines, passes
from llm_experts.families.published.sets import as_it_is, drawn

SOURCE = Source(
    "humaneval",
    "HumanEval: hand-written programming problems",
    "https://github.com/openai/human-eval",
    "MIT",
    "Chen et al. Evaluating Large Language Models Trained on Code. 2021.",
    (
        published_file(
            "humaneval", f"{RAW}/openai/human-eval/6d43fb980f9fee3c892a914eda09951f772ad10d/data", "HumanEval.jsonl.gz",
            44877, "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
        ),
    ),
    ("The set is for examinations alone: it has no part to learn from.",),
)  # fmt: skip
OUTSIDE = re.compile(r"\n(?=[^\s#)\]}])")
"""The first line behind a function's body: the paper's stop words (class, def, if, print) begin such lines."""


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    (path,) = SOURCE.paths().values()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return {"test": [_example(json.loads(line)) for line in lines]}


def _example(record: Mapping[str, str]) -> Example:
    facts = {"tests": record["test"], "entry": record["entry_point"]}
    number = record["task_id"].rpartition("/")[2]
    return Example(f"humaneval-{number}", record["prompt"], record["canonical_solution"], facts=facts)


def program_of(example: Example, answer: str) -> str:
    """The function of an answer: its body, which goes on from the prompt, or all of it where it defines it anew."""
    prompt, entry, code = str(example.prompt), example.facts["entry"], code_in(answer)
    if defines(code, entry):
        return prompt[: prompt.rindex(f"def {entry}")] + code
    code = code.strip("\n")
    if code and not code[0].isspace():  # the blanks before it were taken for white space around an answer
        code = "    " + code
    return prompt + OUTSIDE.split(code)[0]


def _check(example: Example, answer: str) -> Verdict:
    facts = example.facts
    return passes(f"{program_of(example, answer)}\n\n{facts['tests']}\n\ncheck({facts['entry']})\n")


FAMILY = Family(
    name="humaneval",
    label="HumanEval",
    about="Complete a Python function from its description; unit tests are run in a sandbox.",
    scores=("unit_tests", "pass@1"),
    longest_answer=384,
    make=drawn("humaneval", _parts, as_it_is),
    check=_check,
    published=True,
)

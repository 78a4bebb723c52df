"""GSM8K: word problems of primary school, whose last number is the answer (Cobbe et al. 2021)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part, Verdict
from llm_experts.families.published.sets import as_it_is, carved, drawn

URL = f"{RAW}/openai/grade-school-math/3101c7d5072418e28b9008a6636bde82a006892c/grade_school_math/data"
SOURCE = Source(
    "gsm8k",
    "GSM8K: grade school math word problems",
    "https://github.com/openai/grade-school-math",
    "MIT",
    "Cobbe et al. Training Verifiers to Solve Math Word Problems. 2021.",
    (
        published_file(
            "gsm8k", URL, "train.jsonl", 4166206,
            "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465", packed=True,
        ),
        published_file(
            "gsm8k", URL, "test.jsonl", 749738,
            "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14", packed=True,
        ),
    ),
    ("Calculator marks (<<48/2=24>>) are taken out of the worked answers.",),
)  # fmt: skip
CALCULATION = re.compile(r"<<[^<>]*>>")
NUMBER = re.compile(r"[-−]?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.[0-9]{1,18})?|[-−]?\$?\.[0-9]{1,18}")
NEXT = re.compile(r"\n\s*(?:Question|User):")
"""Where a base that knows no end of an answer begins the next question."""


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    paths = SOURCE.paths()
    return {**carved(_read(paths["train.jsonl"], "train")), "test": _read(paths["test.jsonl"], "test")}


def _read(path: Path, part: str) -> list[Example]:
    with path.open(encoding="utf-8") as lines:
        return [_example(f"gsm8k-{part}-{number}", json.loads(line)) for number, line in enumerate(lines)]


def _example(name: str, record: Mapping[str, str]) -> Example:
    worked = CALCULATION.sub("", record["answer"]).replace("\r\n", "\n")
    value = worked.rpartition("####")[2].strip().replace(",", "")
    return Example(name, f"Question: {record['question'].strip()}\nAnswer:", worked, facts={"number": value})


def final_number(answer: str) -> Fraction | None:
    """The number behind the last ``####`` of an answer, else behind its last "answer is", else its last number.

    What follows after a next question is not part of the answer.
    """
    text = NEXT.split(answer)[0]
    for mark in ("####", "answer is"):
        behind = text.rpartition(mark)
        if behind[1] and (found := NUMBER.search(behind[2])):
            return _value(found.group())
    numbers = NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def _value(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace("$", "").replace("−", "-"))


def _check(example: Example, answer: str) -> Verdict:
    found = final_number(answer)
    if found is None:
        return Verdict(False, "there is no number in it")
    wanted = Fraction(example.facts["number"])
    return Verdict(True) if found == wanted else Verdict(False, f"its last number is not {wanted}")


FAMILY = Family(
    name="gsm8k",
    label="GSM8K",
    about="Solve a word problem of primary school step by step; the number behind #### is compared.",
    scores=("correct",),
    longest_answer=320,
    make=drawn("gsm8k", _parts, as_it_is),
    check=_check,
    published=True,
)

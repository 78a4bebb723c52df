"""Self-Instruct: hand-written instructions with one answer each (Wang et al. 2023)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.families.family import Family, Part
from llm_experts.families.published.free_text import ABOUT_CHECK, SCORES, check, reward
from llm_experts.families.published.sets import as_it_is, carved, drawn

URL = f"{RAW}/yizhongw/self-instruct/0b26ccaa415992100fa32df62d41b994cf928e23"
SOURCE = Source(
    "self_instruct",
    "Self-Instruct: seed tasks and user-oriented instructions",
    "https://github.com/yizhongw/self-instruct",
    "Apache-2.0",
    "Wang et al. Self-Instruct: Aligning Language Models with Self-Generated Instructions. ACL 2023.",
    (
        published_file(
            "self_instruct", URL, "seed_tasks.jsonl", 110934,
            "7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48", at="data/seed_tasks.jsonl",
        ),
        published_file(
            "self_instruct", URL, "user_oriented_instructions.jsonl", 170193,
            "81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e",
            at="human_eval/user_oriented_instructions.jsonl",
        ),
    ),
    ("Seed tasks train and validate; the user-oriented instructions, written for examinations, examine.",),
)  # fmt: skip


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    paths = SOURCE.paths()
    return {
        **carved(_read(paths["seed_tasks.jsonl"])),
        "test": _read(paths["user_oriented_instructions.jsonl"]),
    }


def _read(path: Path) -> list[Example]:
    with path.open(encoding="utf-8") as lines:
        return [instruction(f"self_instruct-{r['id']}", r, r["instances"][0]) for r in map(json.loads, lines)]


def instruction(name: str, record: Mapping[str, Any], instance: Mapping[str, str]) -> Example:
    """An item of an instruction and one input and output for it."""
    asked, given = record["instruction"].strip(), instance["input"].strip()
    facts = {"instruction": asked, "input": given} if given else {}
    return Example(name, f"{asked}\n\n{given}" if given else asked, instance["output"].strip(), facts=facts)


FAMILY = Family(
    name="self_instruct",
    label="Self-Instruct",
    about=f"Follow an instruction of any kind; {ABOUT_CHECK}.",
    scores=SCORES,
    longest_answer=256,
    make=drawn("self_instruct", _parts, as_it_is),
    check=check,
    reward=reward,
    published=True,
)

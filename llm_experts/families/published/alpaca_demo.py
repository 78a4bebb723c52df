"""A sample of instructions in Alpaca's form, with answers that a model wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache

from llm_experts.data.example import Example
from llm_experts.data.sources import RAW, Source, published_file
from llm_experts.data.splitting import split
from llm_experts.families.family import Family, Part
from llm_experts.families.published.free_text import ABOUT_CHECK, SCORES, check, reward
from llm_experts.families.published.self_instruct import instruction
from llm_experts.families.published.sets import as_it_is, drawn

SOURCE = Source(
    "alpaca_demo",
    "Alpaca-format instruction sample",
    "https://github.com/hiyouga/LLaMA-Factory",
    "Apache-2.0",
    "Zheng et al. LlamaFactory: Unified Efficient Fine-Tuning of 100+ Language Models. ACL 2024 (demo).",
    (
        published_file(
            "alpaca_demo", f"{RAW}/hiyouga/LLaMA-Factory/ff6d4d12eeb035d6ce06805a5733dd7b29f2ac30/data",
            "alpaca_en_demo.json", 859893,
            "bcc37c64db1a739a0789a1b81f251146fcf4459f903474bc9e3c21bbb5628318", packed=True,
        ),
    ),
    ("The answers were written by a model that the publisher does not name.",),
)  # fmt: skip
HELD = 0.15
"""Share of prompts that validates, and again that examines: the publisher made no parts."""


@cache
def _parts() -> Mapping[Part, Sequence[Example]]:
    (path,) = SOURCE.paths().values()
    records = json.loads(path.read_text(encoding="utf-8"))
    examples = [instruction(f"alpaca_demo-{number}", record, record) for number, record in enumerate(records)]
    parts = split([example for example in examples if example.completion], validation=HELD, test=HELD, seed=0)
    return {"train": parts.train, "validation": parts.validation, "test": parts.test}


FAMILY = Family(
    name="alpaca_demo",
    label="Alpaca sample",
    about=f"Follow an instruction of any kind; {ABOUT_CHECK}.",
    scores=SCORES,
    longest_answer=384,
    make=drawn("alpaca_demo", _parts, as_it_is),
    check=check,
    reward=reward,
    published=True,
)

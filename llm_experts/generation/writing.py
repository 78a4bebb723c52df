"""The files of a set: what is learnt, what was refused and why, what people should look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foundation.files import write_json, write_text
from llm_experts.data.example import Example
from llm_experts.data.reading import as_record, write_examples
from llm_experts.generation.judged import Judged
from llm_experts.generation.pairs import pairs_of
from llm_experts.generation.report import ProducedReport
from llm_experts.generation.sample import sample_page
from llm_experts.generation.spec import DataSpec
from llm_experts.generation.supply import Supply

TRAIN, PAIRS, REJECTED, SAMPLE, REPORT = "train.jsonl", "pairs.jsonl", "rejected.jsonl", "sample.md", "report.json"


def write_set(
    folder: Path, spec: DataSpec, supplies: Sequence[Supply], report: ProducedReport, seed: int
) -> tuple[list[Example], list[Example]]:
    """Write all files of a set, each whole; its items and its pairs are returned."""
    items = [judged for supply in supplies for judged in supply.items]
    accepted = [judged.draft.example for judged in items]
    pairs = pairs_of([judged.draft for judged in items], spec, seed)
    write_examples(folder / TRAIN, accepted)
    write_examples(folder / PAIRS, pairs)
    rejected = [_refused(judged) for supply in supplies for judged in supply.rejected]
    write_text(folder / REJECTED, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rejected))
    write_text(folder / SAMPLE, sample_page(spec.expert, items, seed))
    write_json(folder / REPORT, report.as_dict())
    return accepted, pairs


def _refused(judged: Judged) -> dict[str, Any]:
    draft = judged.draft
    more = {"topic": draft.topic, "difficulty": draft.difficulty, "variant_of": draft.variant_of}
    return as_record(draft.example) | more | {"reasons": judged.reasons}

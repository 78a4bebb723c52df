"""The hash that names a set in manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from llm_experts.data.example import Example
from llm_experts.data.reading import as_record


def hash_examples(examples: Iterable[Example]) -> str:
    """Lower-case hex sha256 of items in their order; equal items give equal hashes, however their file is written."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps(as_record(example), sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()

"""The manifest, its canonical form and its published schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from artefacts.format.error import PackageError
from artefacts.format.manifest import manifest_of, parse_manifest, schema
from tests.artefacts.making import FACTS, FILES, listing

ROOT = Path(__file__).parents[3]
LORA = {
    "type": "lora", "target_modules": ["q_proj"], "rank": 8, "alpha": 16, "path": "expert/weights.safetensors",
    **{key: listing(FILES)["expert/weights.safetensors"][key] for key in ("bytes", "sha256")},
}  # fmt: skip
WHOLE: dict[str, Any] = {
    **FACTS,
    "kind": "adapter",
    "base": {"name": "nano", "sha256": "0" * 64, "dtype": "float32"},
    "adapters": [LORA],
    "members": [{"name": "other", "version": "1.0.0-rc.1", "content": "1" * 64}],
    "capabilities": ["tabular:german"],
    "routing": {"keywords": ["credit"], "priority": 0.8},
    "constraints": {"requires": {"other": "^1.2"}, "incompatible_with": {"third": "*"}, "max_chain": 3},
    "decoding": {"temperature": 0, "stop": ["\n"]},
    "provenance": {"seed": 0, "params": {"lr": 1e-4, "rounds": 1e20, "none": None}, "versions": {"torch": "2.13.0"}},
    "fairness": {
        "suite": "default",
        "groups": {"sex: f": {"positive": 10, "negative": 12}},
        "metrics": {"dp_gap": {"estimate": 0.125, "low": 0.1, "high": 0.2, "null_p95": 0.15}},
    },
    "inputs": {"columns": [{"name": "age", "kind": "numeric", "unit": "years"}], "needs_group": True},
    "files": listing(FILES),
}


def test_its_canonical_form_is_read_as_itself() -> None:
    data = manifest_of(WHOLE).canonical()
    assert parse_manifest(data) == manifest_of(WHOLE)
    assert parse_manifest(data).canonical() == data
    assert json.loads(data) == WHOLE


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base": None}, "no base"),
        ({"adapters": [{**LORA, "sha256": "2" * 64}]}, "is not the file of that name"),
        ({"adapters": [{**LORA, "path": "card.md"}]}, "is not the file of that name"),
        ({"constraints": {"requires": {"german-mlp": "*"}}}, "requires itself"),
        ({"kind": "program"}, "kind"),
        ({"files": {"a.txt": {"bytes": 1.5, "sha256": "0" * 64}}}, "files.a.txt.bytes"),
        ({"files": {"a.txt": {"bytes": -1, "sha256": "0" * 64}}}, "files.a.txt.bytes"),
        ({"files": {"a.txt": {"bytes": 1, "sha256": "0" * 64, "tensors": {}}}}, "tensors"),
        ({"routing": {"priority": 2}}, "routing.priority"),
        ({"name": "a--b"}, "no package's name"),
    ],
)
def test_what_contradicts_itself_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PackageError, match=said):
        manifest_of({**WHOLE, **change})


def test_the_published_schema_is_that_of_the_model() -> None:
    """Written by ``python -m artefacts.format.schema > docs/schemas/expert-1.json``."""
    assert json.loads((ROOT / "docs/schemas/expert-1.json").read_text(encoding="utf-8")) == schema()


def test_verifying_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, artefacts.trust.verify; print(sorted({'torch','pandas','scipy','sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

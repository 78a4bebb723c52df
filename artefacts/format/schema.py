"""``python -m artefacts.format.schema``: the JSON schema of the manifest, as ``docs/schemas/expert-1.json`` has it."""

from __future__ import annotations

import json

from artefacts.format.manifest import schema

if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))

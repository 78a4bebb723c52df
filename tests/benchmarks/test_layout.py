"""The layout of the design: folders, cards without code, and whose name `datasets` is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_root_folders_exist() -> None:
    floors = (
        "tasks",
        "metrics",
        "experts",
        "gates",
        "moe",
        "llm_experts",
        "artefacts",
        "serving",
        "reports",
        "benchmarks",
    )
    for name in (*floors, "datasets", "tests"):
        assert (ROOT / name).is_dir(), name


def test_datasets_holds_no_python() -> None:
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_import_datasets_from_the_root_is_hugging_faces() -> None:
    code = "import datasets; print(datasets.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ROOT not in Path(done.stdout.strip()).parents or "site-packages" in done.stdout
    assert "site-packages" in done.stdout

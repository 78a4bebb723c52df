"""Two processes at once, processes that are killed, a disk that is full; and what is not imported."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from artefacts.registry.publish import publish
from tests.artefacts.registry.made import Maker, check_clean, registry_for
from tests.campaign.registry_faults import CHILD, ROOT, Kills, full_disk


def test_two_processes_at_once_both_get_what_they_asked_for(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "makers")
    publish(maker.make("shared"), tmp_path / "index")
    for name in ("left", "right"):
        publish(maker.make(name, requires={"shared": "*"}), tmp_path / "index")
    registry = registry_for(tmp_path / "home", maker, index=tmp_path / "index")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "home"), "install", *names],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        )
        for names in (["left"], ["right"], ["left", "right"])
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    for child in children:
        child.communicate("go\n", timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    assert set(registry.state.installed) == {"left", "right", "shared"}
    check_clean(registry)


@pytest.mark.slow
def test_a_killed_command_leaves_the_registry_whole(tmp_path: Path) -> None:
    work = Kills(tmp_path / "kills", 400)
    assert work.campaign("install", 3, random.Random(1)).total() == 3
    work.publish_newer()
    work.back("update")
    assert work.campaign("update", 3, random.Random(2)).total() == 3


def test_a_full_disk_is_named_and_changes_nothing(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(probe)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    subprocess.run(["umount", "--lazy", str(probe)], check=True)
    assert full_disk(tmp_path / "full").startswith("named")


def test_the_registry_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, artefacts.registry.registry, artefacts.registry.publish, benchmarks.cli; "
        "print(sorted({'torch', 'pandas', 'sklearn', 'scipy', 'mlflow'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"

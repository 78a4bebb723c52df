"""A production that is killed at random instants, by SIGKILL, goes on to the bytes of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.llm_experts.generation.production_fixtures import contents

SCRIPT = """
import sys
from pathlib import Path
from llm_experts.generation.checks.registry import checks_named
from tests.llm_experts.generation.production_fixtures import made, spec_of

spec = spec_of(1500, "arithmetic", "lookup", "json_task", difficulty=None)
print("begun", flush=True)
made(spec, Path(sys.argv[1]), *checks_named(("answer", "clarity")))
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """A production in a process of its own, when it has loaded what it needs."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    return process


@pytest.mark.slow
def test_killed_at_random_instants_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = started(tmp_path / "whole")
    assert whole.wait() == 0
    draw, killed = random.Random(0), 0
    for _ in range(4):
        process = started(tmp_path / "parts")
        try:
            process.wait(draw.uniform(0.05, 0.5))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.communicate()
    assert started(tmp_path / "parts").wait() == 0
    assert killed and contents(tmp_path / "parts") == contents(tmp_path / "whole")

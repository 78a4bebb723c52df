"""A production that is killed at random instants, by SIGKILL, goes on to the bytes of one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.llm_experts.generation.production_fixtures import contents

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, os, random, signal, sys, time
from pathlib import Path
from llm_experts.generation.checks.registry import checks_named
from tests.llm_experts.generation.production_fixtures import made, spec_of

spec, checks = spec_of(900, "arithmetic", "lookup", difficulty=None), checks_named(("answer", "clarity"))
draw, killed, folder = random.Random(0), 0, Path(sys.argv[1])
began = time.monotonic()
made(spec, folder / "whole", *checks)
took = time.monotonic() - began
for number in range(5):
    child = os.fork()
    if not child:
        made(spec, folder / "parts", *checks)
        os._exit(0)
    while not any(path.is_file() for path in (folder / "parts").rglob("*")):
        time.sleep(0.001)
    time.sleep(draw.uniform(0.02, 0.4) * took * (number > 0))  # the first one surely comes before the end
    os.kill(child, signal.SIGKILL)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
made(spec, folder / "parts", *checks)
print(json.dumps(killed))
"""


@pytest.mark.slow
def test_killed_at_random_instants_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}  # where tests lie, also on a safe path
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) >= 1
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

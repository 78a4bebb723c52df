"""A training that is killed at any instant ends with the same bytes as one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
RUN = """
import json, os, signal, sys, time
from pathlib import Path
from random import Random
from llm_experts.discovery.teaching.training import train_experts
from llm_experts.training.loop import group
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.discovery.teaching.training_fixtures import Plan, biased_items, expert_items, quick

group.CHECKPOINT_SECONDS = 0.0  # after every step
base = make_tiny_base(layers=1)

def run(folder):
    found = train_experts(
        base, [Plan("fair"), Plan("biased")], {"fair": expert_items(), "biased": biased_items()},
        quick(beta=0.02, epochs=8, look_every=2), folder=folder,
    )
    (folder / "told.json").write_text(json.dumps([one.as_dict() for one in found], sort_keys=True))

began = time.monotonic()
run(Path(sys.argv[1]))
taken, draw, killed, ended = time.monotonic() - began, Random(0), 0, False
while not ended:
    child = os.fork()
    if not child:
        run(Path(sys.argv[2]))
        os._exit(0)
    if killed < 3:
        while not any(path.is_file() for path in Path(sys.argv[2]).rglob("*")):
            time.sleep(0.001)
        time.sleep(draw.uniform(0.02, 0.5) * taken * (killed > 0))  # the first one surely comes before the end
        os.kill(child, signal.SIGKILL)
    ended = os.waitpid(child, 0)[1] == 0
    killed += not ended
print(killed)
"""
FILES = ("told.json", "*/*/history.csv", "*/*/adapter/adapter_model.safetensors")


def bytes_in(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for name in FILES for path in folder.glob(name)}
    assert {Path(name).name for name in found} == {"told.json", "history.csv", "adapter_model.safetensors"}
    return found


@pytest.mark.slow
def test_kills_at_random_instants_change_nothing(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    command = [sys.executable, "-c", RUN, str(whole), str(parts)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}  # where tests lie, also on a safe path
    told = subprocess.run(command, capture_output=True, text=True, env=env)
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) > 0, "it was killed at least once"
    expected, found = bytes_in(whole), bytes_in(parts)
    assert expected.keys() == found.keys() and [name for name in expected if expected[name] != found[name]] == []

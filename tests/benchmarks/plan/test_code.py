"""A key cannot forget a file: whatever computing a cell can reach is hashed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.registry import all_methods
from benchmarks.plan.code import BASELINES, COMPUTING, TEXT, baseline_hash, computing_hash, room_files
from foundation.discovery import PLUGINS, ROOT, items

START = "benchmarks.run.compute"
"""The module of ``run_job``: the function that computes a job's cells."""

FOUND = (("gates", "GATE"), ("experts.families", "FAMILY"), ("llm_experts.adapters", "KIND"))
"""Rooms whose files are imported by name only."""


def file_of(module: str) -> Path | None:
    """The file of a module or package of this project."""
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def imports_of(path: Path) -> set[str]:
    """Modules that a file imports anywhere, also inside functions and for type checking, with their packages."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import, which this project does without"
            name = node.module or ""
            found |= {name, *(f"{name}.{alias.name}" for alias in node.names)}
    return found | {parent for name in found for parent in parents_of(name)}


def parents_of(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def reachable(*start: str, without: str = "") -> set[str]:
    """Names of the project's files that modules reach, as the hash calls them; modules that start so are cut off."""
    seen: set[str] = set()
    left = [*start, *(parent for name in start for parent in parents_of(name))]
    while left:
        module = left.pop()
        path = file_of(module)
        if module in seen or path is None or (without and module.startswith(without)):
            continue
        seen.add(module)
        left += imports_of(path)
    return {path.relative_to(ROOT).as_posix() for path in map(file_of, seen) if path is not None}


def recipes(*, text: bool) -> set[str]:
    return {method.recipe.split(":")[0] for method in all_methods().values() if text or not method.text}


def items_of(room: str, name: str) -> set[str]:
    return {f"{room}.{item}" for item in items(room, name)}


def test_whatever_computing_a_cell_reaches_is_in_its_key() -> None:
    start = {START, *recipes(text=True), *(module for room in FOUND for module in items_of(*room))}
    files = reachable(*start)
    assert {"benchmarks/run/stages/baselines.py", "llm_experts/bases/load.py", "gates/topk.py"} <= files
    hashed = room_files(*COMPUTING, *TEXT)
    assert not {name for name in files if name not in hashed}


def test_a_tabular_cell_reaches_nothing_outside_the_rooms_of_all_cells() -> None:
    start = {START, *recipes(text=False), *items_of("gates", "GATE"), *items_of("experts.families", "FAMILY")}
    files = reachable(*start, without="benchmarks.run.stages.text") - {"llm_experts/__init__.py"}
    assert {"benchmarks/cells/cell.py", "benchmarks/methods/own_method.py"} <= files
    hashed = room_files(*COMPUTING)
    outside = {name for name in files if name not in hashed}
    # planning knows what a base is; its identity is part of the keys of text cells, which hash its room
    assert not {name for name in outside if not name.startswith("llm_experts/bases/")}


def test_no_public_baseline_is_part_of_other_keys() -> None:
    public = {f"{BASELINES}/{path.name}" for path in items("benchmarks.methods.baselines", "METHOD").values()}
    assert len(public) > 10
    start = {START, *recipes(text=True)}
    assert not public & reachable(*start)


@pytest.mark.parametrize("name", baseline_names())
def test_what_a_baseline_reaches_is_its_own_file_or_in_every_key_of_its_room(name: str) -> None:
    """A public file that another one imported would be in that one's numbers and not in its key."""
    files = reachable(f"benchmarks.methods.baselines.{name}")
    own = {f"{BASELINES}/{name}.py", *(p for p in room_files(BASELINES) if p.startswith(f"{BASELINES}/_"))}
    assert f"{BASELINES}/{name}.py" in files
    assert not {path for path in files if path not in own and path not in room_files(*COMPUTING)}


def test_a_baseline_in_a_plug_in_folder_is_keyed_by_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, constant = computing_hash(), baseline_hash("constant")
    mine = tmp_path / "benchmarks" / "methods" / "baselines" / "mine.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("METHOD = Baseline(label='mine')\n")
    monkeypatch.setenv(PLUGINS, str(tmp_path))
    first = baseline_hash("mine")
    assert (computing_hash(), baseline_hash("constant")) == (before, constant)
    mine.write_text("METHOD = Baseline(label='yours')\n")
    assert baseline_hash("mine") != first
    assert (computing_hash(), baseline_hash("constant")) == (before, constant)


def test_a_gate_in_a_plug_in_folder_is_part_of_the_key_wherever_the_folder_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [computing_hash()]
    for folder in (tmp_path / "a", tmp_path / "b"):
        (folder / "gates").mkdir(parents=True)
        (folder / "gates" / "mine.py").write_text("GATE = GateDefinition(label='mine')\n")
        monkeypatch.setenv(PLUGINS, str(folder))
        found.append(computing_hash())
    assert found[0] != found[1] == found[2]

"""Hooks of ``mkdocs build``: a reference page per room, and Sphinx roles of docstrings as links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("foundation", "tasks", "metrics", "experts", "gates", "moe", "llm_experts", "artefacts", "serving", "reports",
         "benchmarks")  # fmt: skip
"""Root packages, from the ground up."""

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod|exc):`~?([\w.]+)`")

SHAPE = re.compile(r"(`+).*?\1|\]\[", re.DOTALL)
"""Code, or what Markdown would take for a link: ``weight[group][expert]``."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a reference page per room to the navigation."""
    rooms = [{root: [_page(room) for room in _rooms(root)]} for root in ROOMS if (ROOT / root).is_dir()]
    config.nav = [*(config.nav or []), {"Reference": rooms}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Write the reference pages, in memory."""
    for root in ROOMS:
        for room in _rooms(root):
            files.append(File.generated(config, _page(room)[room], content=_content(room)))
    return files


def _rooms(root: str) -> list[str]:
    """A root package and the packages in it, dotted."""
    folders = sorted(path.parent for path in (ROOT / root).rglob("__init__.py"))
    return [".".join(folder.relative_to(ROOT).parts) for folder in folders]


def _page(room: str) -> dict[str, str]:
    return {room: f"reference/{room}.md"}


def _content(room: str) -> str:
    """The room's own words, then every module of it."""
    modules = sorted(path.stem for path in ROOT.joinpath(*room.split(".")).glob("[!_]*.py"))
    own = f"::: {room}\n    options: {{members: false, heading_level: 1}}\n"
    return "\n".join([own, *(f"::: {room}.{module}\n" for module in modules)])


class SphinxRoles(griffe.Extension):
    """``:func:`name``` of docstrings becomes a link to what it names, or code where that has no place of its own."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of a package, once all of it is known."""
        for thing in _documented(pkg):
            if thing.docstring is not None:
                text = SHAPE.sub(lambda found: found[0] if found[1] else "]\\[", thing.docstring.value)
                thing.docstring.value = ROLE.sub(partial(_as_link, thing), text)


def _documented(thing: griffe.Object) -> Iterator[griffe.Object]:
    yield thing
    for member in thing.members.values():
        if isinstance(member, griffe.Object):
            yield from _documented(member)


def _as_link(at: griffe.Object, role: re.Match[str]) -> str:
    return _link(role[1], at)


def _link(name: str, at: griffe.Object) -> str:
    """A link; code for what has no place of its own. A name that nothing has stays a link, so that the build fails."""
    path = name if name.split(".")[0] in ROOMS else _resolved(name, at)
    named = None if path is None else _found(path)
    if path is None or (named is not None and not _has_a_place(named)):
        return f"`{name}`"
    return f"[`{name.rpartition('.')[2] if name == path else name}`][{path}]"


def _resolved(name: str, at: griffe.Object) -> str | None:
    """Dotted path of a name as the code around a docstring sees it; None for names of other libraries."""
    try:
        path = at.resolve(name)
    except griffe.NameResolutionError:
        return None
    return path if path.split(".")[0] in ROOMS else None


@cache
def _tree(root: str) -> griffe.Object:
    """A root package, for looking up names across packages."""
    found = griffe.load(root, search_paths=[ROOT], allow_inspection=False)
    assert isinstance(found, griffe.Object)
    return found


def _found(path: str) -> griffe.Object | griffe.Alias | None:
    root, _, rest = path.partition(".")
    try:
        return _tree(root)[rest] if rest else _tree(root)
    except KeyError:
        return None


def _has_a_place(thing: griffe.Object | griffe.Alias) -> bool:
    return thing.has_docstring and not any(part.startswith("_") for part in thing.path.split("."))

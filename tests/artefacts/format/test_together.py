"""What manifests say about experts that are to work together."""

from __future__ import annotations

from typing import Any

from artefacts.format.manifest import Manifest, manifest_of
from artefacts.format.together import refusals


def made(name: str, version: str = "1.0.0", base: str = "", **constraints: Any) -> Manifest:
    told = {"base": {"name": "nano", "sha256": base * 64}} if base else {}
    facts = {
        "format": "expert/1", "name": name, "version": version, "description": "", "author": "Ada",
        "licence": "none", "kind": "adapter", "files": {}, "constraints": constraints, **told,
    }  # fmt: skip
    return manifest_of(facts)


def test_nothing_is_refused_without_a_reason() -> None:
    assert refusals([]) == []
    both = [made("a", base="1", requires={"b": "^1.0"}, incompatible_with={"c": "*"}, max_chain=2), made("b", base="1")]
    assert refusals(both) == []


def test_each_reason_is_told() -> None:
    alone = made("a", requires={"b": "^2.0"}, incompatible_with={"c": "<1.5"}, max_chain=2)
    assert refusals([alone]) == ["a requires b ^2.0, which is not among them."]
    found = refusals([alone, made("b", base="1"), made("c", "1.4.0", base="2")])
    assert found == [
        "a requires b ^2.0, but 1.0.0 is there.",
        "a is incompatible with c <1.5, and 1.4.0 is there.",
        "a works among 2 experts at most, and there are 3.",
        "b and c stand on different bases; only experts of one base are composed.",
    ]
    assert refusals([made("a", incompatible_with={"c": "<1.5"}), made("c", "1.5.0")]) == []

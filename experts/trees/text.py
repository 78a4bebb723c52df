"""LightGBM's text of trees, checked before LightGBM reads it, which trusts it: a cut one ends the process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BY_NODE = ("split_feature", "threshold", "decision_type", "left_child", "right_child", "internal_count")
BY_LEAF = ("leaf_value", "leaf_count")
END, LAST = "end of trees\n", "\nend of parameters\n"
ZERO_IS_MISSING = 1
"""Of two bits of a split's ``decision_type``."""


def checked_booster(text: str) -> Any:
    """The booster of a text.

    Raises
    ------
    ValueError
        If the text is cut, or a tree of it leads out of itself.
    """
    import lightgbm

    check_text(text)
    return lightgbm.Booster(model_str=text)


def check_text(text: str) -> None:
    """Raise ``ValueError`` if the text is cut, or a tree of it is none: of numeric splits, each node reached once."""
    header, _, rest = text.partition("\n\n")
    facts = _facts(header)
    sizes, trees = list(map(int, facts.get("tree_sizes", "").split())), rest.encode()
    behind = trees[sum(sizes) :].decode().lstrip()
    if not facts.get("max_feature_idx", "").isdigit() or not (behind.startswith(END) and LAST in behind):
        raise ValueError("the text of the trees is cut, or not as long as it says; save or copy the model again")
    start = 0
    for number, size in enumerate(sizes):
        _check_tree(number, _facts(trees[start : start + size].decode()), int(facts["max_feature_idx"]))
        start += size


def _facts(block: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE))


def _check_tree(number: int, facts: Mapping[str, str], last: int) -> None:
    leaves = _whole(facts.get("num_leaves", ""))
    lengths = {name: len(facts.get(name, "").split()) for name in (*BY_NODE, *BY_LEAF)}
    if not leaves or facts.get("num_cat") != "0" or facts.get("is_linear", "0") != "0":
        raise ValueError(f"tree {number} is none of numeric splits and constant leaves")
    if leaves == 1:
        if lengths["leaf_value"] != 1:
            raise ValueError(f"tree {number} has a leaf without a value")
        return
    if any(lengths[name] != leaves - (name in BY_NODE) for name in lengths):
        raise ValueError(f"tree {number} does not say as much as its {leaves} leaves need")
    children = [_numbers(facts[side]) for side in ("left_child", "right_child")]
    found = sorted(children[0] + children[1])
    onward = all(child < 0 or child > node for side in children for node, child in enumerate(side))
    if found != [*range(-leaves, 0), *range(1, leaves - 1)] or not onward:
        raise ValueError(f"tree {number} has nodes that lead out of it, or back")
    if not all(0 <= feature <= last for feature in _numbers(facts["split_feature"])):
        raise ValueError(f"tree {number} asks for a feature that there is not")
    if any(kind & 1 for kind in _numbers(facts["decision_type"])):
        raise ValueError(f"tree {number} has a split by categories, but holds none")


def _whole(word: str) -> int:
    return int(word) if word.isdigit() else 0


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split()]


@dataclass(frozen=True)
class Tree:
    """A tree as lists over its nodes; node 0 is the root.

    Attributes
    ----------
    splits : list of bool
        Whether a node is an inner one.
    features, thresholds, left, right : list
        Of inner nodes: what they look at, and the nodes that rows go to whose feature is at most the threshold, or
        above it; 0 for leaves.
    values : list of float
        What a leaf adds; 0 for inner nodes.
    """

    splits: list[bool]
    features: list[int]
    thresholds: list[float]
    left: list[int]
    right: list[int]
    values: list[float]

    @property
    def nodes(self) -> int:
        """How many there are, leaves included."""
        return len(self.splits)


def trees_of(text: str) -> list[Tree]:
    """The trees of a text, in their order.

    Raises
    ------
    ValueError
        As :func:`check_text`; also if the trees are averaged, or treat 0 as missing.
    """
    check_text(text)
    header, _, rest = text.partition("\n\n")
    if re.search(r"^average_output$", header, re.MULTILINE):
        raise ValueError("the trees are averaged (a random forest), not added")
    blocks = re.split(r"^Tree=\d+\n", rest.partition(END)[0], flags=re.MULTILINE)[1:]
    return [_tree(number, _facts(block)) for number, block in enumerate(blocks)]


def _tree(number: int, facts: Mapping[str, str]) -> Tree:
    leaves, values = int(facts["num_leaves"]), [float(value) for value in facts["leaf_value"].split()]
    if leaves == 1:
        return Tree([False], [0], [0.0], [0], [0], values)
    if any((kind >> 2) & 3 == ZERO_IS_MISSING for kind in _numbers(facts["decision_type"])):
        raise ValueError(f"tree {number} treats 0 as missing")
    inner, none = leaves - 1, [0] * leaves
    left, right = (
        [child if child >= 0 else inner + ~child for child in _numbers(facts[side])]
        for side in ("left_child", "right_child")
    )
    thresholds = [float(threshold) for threshold in facts["threshold"].split()]
    return Tree(
        [True] * inner + [False] * leaves, _numbers(facts["split_feature"]) + none, thresholds + [0.0] * leaves,
        left + none, right + none, [0.0] * inner + values,
    )  # fmt: skip

"""LightGBM's text of trees, checked before LightGBM reads it, which trusts it: a cut one ends the process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BY_NODE = ("split_feature", "threshold", "decision_type", "left_child", "right_child", "internal_count")
BY_LEAF = ("leaf_value", "leaf_count")
END, LAST = "end of trees\n", "\nend of parameters\n"


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

"""Which lanes of a batch go through the layers together: those whose texts are of like size."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from llm_experts.training.sequences.batch import PADDING, Batch

PASS_TOKENS = {"cpu": 512, "cuda": 1 << 15}
"""Padded tokens that cost as much as one more pass through the layers, roughly."""


def like_sizes(batch: Batch) -> list[list[int]]:
    """The lanes of a batch of their own texts in runs, each for one pass; lanes without texts are in none.

    One run unless more save padding that costs more than their passes.
    """
    filled = (batch.segments != PADDING).cpu()
    number = torch.arange(1, filled.shape[1] + 1)
    rows, widths = (number * filled.any(-1)).amax(-1).tolist(), filled.sum(-1).amax(-1).tolist()
    sizes = {lane: size for lane, size in enumerate(zip(rows, widths, strict=True)) if size[0]}
    order = sorted(sizes, key=lambda lane: (sizes[lane][0] * sizes[lane][1], lane))
    runs = cheapest_runs([sizes[lane] for lane in order], PASS_TOKENS.get(batch.device.type, PASS_TOKENS["cpu"]))
    return [sorted(order[run]) for run in runs]


def cheapest_runs(sizes: Sequence[tuple[int, int]], cost: int) -> list[slice]:
    """Runs of neighbours that cost least: ``cost`` each, and their tokens once padded to one number of rows and width.

    Parameters
    ----------
    sizes : sequence of (rows, width)
    cost : int
        Of a run, in tokens.
    """
    least, begins = [0], [0]  # of the first lanes: their cost, and where their last run begins
    for stop in range(1, len(sizes) + 1):
        found = []
        for start in range(stop):
            rows, width = (max(size[which] for size in sizes[start:stop]) for which in (0, 1))
            found.append((least[start] + cost + (stop - start) * rows * width, start))
        best = min(found)
        least.append(best[0])
        begins.append(best[1])
    runs, stop = [], len(sizes)
    while stop:
        runs.append(slice(begins[stop], stop))
        stop = begins[stop]
    return runs[::-1]

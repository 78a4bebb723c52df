"""Where labels go so that they cover neither each other nor the marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

ANGLES = tuple(math.radians(a) for a in (315, 45, 225, 135, 270, 90, 0, 180, 292, 338, 22, 68, 112, 158, 202, 248))
RADII = (13, 17, 22, 28, 35, 43, 52, 62, 73, 85)


@dataclass(frozen=True)
class Box:
    """Axis-parallel rectangle around a centre."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Area shared with another box."""
        across = min(self.x + self.width / 2, other.x + other.width / 2) - max(
            self.x - self.width / 2, other.x - other.width / 2
        )
        down = min(self.y + self.height / 2, other.y + other.height / 2) - max(
            self.y - self.height / 2, other.y - other.height / 2
        )
        return max(across, 0.0) * max(down, 0.0)

    def inside(self, frame: Box) -> bool:
        """Whether the box lies within another."""
        return (
            abs(self.x - frame.x) + self.width / 2 <= frame.width / 2
            and abs(self.y - frame.y) + self.height / 2 <= frame.height / 2
        )


def place_labels(
    points: Sequence[Point], widths: Sequence[float], height: float, frame: Box, mark: float, ringed: Sequence[bool]
) -> list[Box]:
    """A box for the label of each point, greedily, the most crowded point first.

    Parameters
    ----------
    points : sequence of (x, y)
        Pixel positions of the marks.
    widths : sequence of float
        Label widths in pixels.
    height : float
        Label height.
    frame : Box
        Labels stay within it.
    mark : float
        Side of the square that a mark covers.
    ringed : sequence of bool
        Whether a mark has a ring around it, half as large again.

    Returns
    -------
    list of Box
        In the order of ``points``. Among positions that cover nothing the nearest wins; if every position covers
        something, the one that covers least.
    """
    sides = [mark * (1.5 if ring else 1.0) for ring in ringed]
    marks = [Box(x, y, side, side) for (x, y), side in zip(points, sides, strict=True)]
    placed: dict[int, Box] = {}
    for index in sorted(range(len(points)), key=lambda i: (-_crowding(i, points), i)):
        options = [box for box in _candidates(points[index], widths[index], height) if box.inside(frame)]
        blocked = [*marks, *placed.values()]
        placed[index] = _freest(options, blocked)
    return [placed[i] for i in range(len(points))]


def _freest(options: Sequence[Box], blocked: Sequence[Box]) -> Box:
    """The first option that covers nothing, else the one that covers least."""
    best, least = options[0], math.inf
    for option in options:
        covered = sum(option.overlap(box) for box in blocked)
        if covered < least:
            best, least = option, covered
        if least == 0:
            break
    return best


def _crowding(index: int, points: Sequence[Point]) -> float:
    return sum(1 / (10 + math.dist(points[index], other)) for other in points)


def _candidates(point: Point, width: float, height: float) -> list[Box]:
    x, y = point
    return [Box(x + r * math.cos(a), y + r * math.sin(a), width, height) for r in RADII for a in ANGLES]

"""What a figure is: one file of this room that defines ``FIGURE``; the file's name is the figure's id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

PAGE, TASK = ("answer", "levels", "ranking"), "task"
"""Parts of the page that figures can stand in: those of the whole run, and that of each task."""


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes
    ----------
    title : str
        Its caption.
    section : str
        Where it stands: one of ``PAGE``, or ``TASK`` for a figure of each task.
    draw : callable
        (report) → SVG for a part of ``PAGE``, (report, scenario) → SVG for ``TASK``; empty where there is nothing to
        draw. A placed figure takes what its place has.
    placed : bool
        Whether a template of the page puts it where it belongs, with words around it. All others are shown at the end
        of their section.
    """

    title: str
    section: str
    draw: Callable[..., Markup]
    placed: bool = False

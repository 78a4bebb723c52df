"""The page of a discovery: one HTML file, written from its result files alone; it asks the network for nothing."""

from __future__ import annotations

import math
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment

from foundation.files import write_text
from reports import format
from reports.discovery import reading, tables
from reports.discovery.figures.capability import capability
from reports.discovery.figures.contenders import contenders
from reports.discovery.figures.data import data
from reports.discovery.figures.front import front
from reports.discovery.figures.gains import gains
from reports.discovery.figures.opinion import opinion
from reports.discovery.figures.preserve import preserve
from reports.discovery.figures.seconds import seconds
from reports.discovery.figures.similarity import similarity
from reports.discovery.figures.stability import stability
from reports.discovery.figures.training import training
from reports.discovery.figures.volume import volume
from reports.discovery.goals import measure_words
from reports.discovery.reading import STEPS, Discovery, read_discovery
from reports.discovery.verdict import verdict
from reports.table import ReportError
from reports.templating import page_environment

PAGE = "discovery.html"
TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
FIGURES = {
    "capability": capability, "opinion": opinion, "similarity": similarity, "stability": stability, "data": data,
    "training": training, "front": front, "volume": volume, "contenders": contenders, "gains": gains,
    "preserve": preserve, "seconds": seconds,
}  # fmt: skip
"""Name → (discovery) → SVG, empty where there is nothing to draw."""


def is_discovery(folder: Path) -> bool:
    """Whether a folder holds results of a discovery."""
    names = (reading.TOP, *(f"{place}/result.json" for place in STEPS))
    return any((folder / name).is_file() for name in names)


def write_page(folder: Path) -> Path:
    """Write ``discovery.html`` into the folder and return its path.

    Raises
    ------
    ReportError
        If the folder holds nothing of a discovery.
    """
    if not is_discovery(folder):
        raise ReportError(
            f"{folder} holds no results of a discovery: neither {reading.TOP} nor a step's result.json, such as "
            "1_capability/result.json. Give the output folder of 'fairmoe discover'."
        )
    page = folder / PAGE
    write_text(page, render_page(read_discovery(folder)))
    return page


def render_page(found: Discovery) -> str:
    """HTML of a discovery, whichever steps are there."""
    shown = {name: draw(found) for name, draw in FIGURES.items()}
    return _environment().get_template("discovery.html.j2").render(
        found=found,
        verdict=verdict(found),
        figure=shown,
        steps=tables.step_states(found),
        tables=tables,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = page_environment(TEMPLATES)
    environment.globals.update(_words())
    return environment


def _words() -> dict[str, Any]:
    return {
        "text": reading.text,
        "number": reading.number,
        "rows": reading.rows,
        "texts": reading.texts,
        "truth": reading.truth,
        "measured": reading.measured,
        "value": format.value_text,
        "signed": format.signed,
        "points": partial(format.points_text, digits=1),
        "count": format.count_text,
        "seconds": format.seconds_text,
        "interval": format.interval_text,
        "measure_words": measure_words,
        "known": lambda value: not math.isnan(value),
    }

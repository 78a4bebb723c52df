"""The page: everything of a whole run, what is there of a part of one, nothing from elsewhere, names as they are."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reports.discovery.page import FIGURES, PAGE, is_discovery, render_page, write_page
from reports.discovery.reading import Discovery, read_discovery
from reports.table import ReportError
from tests.reports.discovery.sample import FOLDERS, sample, write

HOSTILE = ("<script>alert(1)</script>", 'a" onload="x', "new\nline", "x" * 90, "50% & {{ 7 * 7 }}", "\x00\x1b[31m")


class Tags(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_whole_run_has_every_figure_and_section(folder: Path, found: Discovery) -> None:
    page = write_page(folder).read_text(encoding="utf-8")
    for name in FIGURES:
        assert f'id="figure-{name}"' in page, name
    for section in ("verdict", "gates", "capability", "plan", "data", "training", "search", "examination", "preserve"):
        assert f'<section id="{section}"' in page, section
    assert page == render_page(found) and not re.search(r"\bnan\b", page, flags=re.IGNORECASE)
    assert "✓ passed" in page and "✗ failed" in page and "– unmeasured" in page and "≥ 0.850" in page


def test_nothing_comes_from_elsewhere(found: Discovery) -> None:
    tags = Tags(render_page(found)).tags
    assert not [tag for tag, _ in tags if tag in ("script", "img", "iframe", "object", "base", "form")]
    for tag, attributes in tags:
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, value)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for t, a in tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "script" not in policy
    assert "url(" not in render_page(found) and "@import" not in render_page(found)


@pytest.mark.parametrize("missing", list(FOLDERS))
def test_a_run_without_a_step_shows_the_others(missing: str) -> None:
    results = sample()
    top = results.pop("top")
    results.pop(missing)
    page = render_page(Discovery(top, results))
    assert (
        f'<section id="{missing}"' not in page or missing == "capability"
    )  # domains are known to the examination, too
    assert page.count("<section") >= 7


@pytest.mark.parametrize("only", list(FOLDERS))
def test_a_single_step_makes_a_page(only: str, tmp_path: Path) -> None:
    write(tmp_path, {only: sample()[only]})
    assert is_discovery(tmp_path)
    page = write_page(tmp_path)
    assert (page == tmp_path / PAGE and "No verdict yet" in page.read_text(encoding="utf-8")) or only == "examination"


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    assert not is_discovery(tmp_path) and not is_discovery(tmp_path / "gone")
    with pytest.raises(ReportError, match="holds no results of a discovery"):
        write_page(tmp_path)


def renamed(node: Any, names: dict[str, str]) -> Any:
    """The same with other names, as keys and as values."""
    if isinstance(node, dict):
        return {names.get(key, key): renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [renamed(value, names) for value in node]
    return names.get(node, node) if isinstance(node, str) else node


def test_names_of_users_are_text(tmp_path: Path) -> None:
    plain = ("numbers", "formats", "tables", "arithmetic", "dates", "mixture 1")
    results = renamed(sample(), dict(zip(plain, HOSTILE, strict=True)))
    results["gates"]["gates"][0]["label"] = "<b>bold</b>"
    write(tmp_path, results)
    page = render_page(read_discovery(tmp_path))
    found = Tags(page)
    assert not [tag for tag, _ in found.tags if tag == "script"]
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert HOSTILE[0] in found.text and "<b>bold</b>" in found.text and "{{ 7 * 7 }}" in found.text
    assert "x" * 90 in found.text and "new↵line" in found.text
    assert not re.search("[\x00-\x08\x0b-\x1f]", page)


def test_long_names_are_shortened_in_figures_and_whole_in_their_tooltips() -> None:
    results = renamed(sample(), {"arithmetic": "x" * 90})
    page = render_page(Discovery(results.pop("top"), results))
    shown = re.findall(r'<text[^>]* class="row"[^>]*>(x+…?)</text>', page)
    assert shown and all(len(name) <= 22 and name.endswith("…") for name in shown)
    assert f"<title>{'x' * 90}</title>" in page


def test_the_same_files_give_the_same_bytes(folder: Path) -> None:
    first = write_page(folder).read_bytes()
    assert write_page(folder).read_bytes() == first
    assert json.loads((folder / "discovery.json").read_text())["settings"]["seed"] == 0


def test_numbers_at_the_ends_of_what_floats_can_hold_are_left_out(tmp_path: Path) -> None:
    def extreme(node: Any, sign: int = 1) -> Any:
        if isinstance(node, dict):
            return {key: extreme(value, -sign if key == "low" else sign) for key, value in node.items()}
        if isinstance(node, list):
            return [extreme(value, (-1) ** place) for place, value in enumerate(node)]
        return sign * 1.7e308 if isinstance(node, float) else node

    page = render_page(read_discovery(write(tmp_path / "run", extreme(sample()))))
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"\b(inf|nan)\b", Tags(page).text)

"""All answers as data for the page's script: the texts of every row, so that the script formats nothing by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from reports.answer.answer import Answer
from reports.answer.row import AnswerRow
from reports.answer.setting import ALL
from reports.levels.contenders import Contender
from reports.method import Method
from reports.render.answer.cells import cells, way
from reports.render.answer.words import answer_words, asked_words, choose_command, gap_name
from reports.render.level_words import level_words
from reports.scenario import Scenario
from reports.summary import Report


def first_two(report: Report, scenario: Scenario) -> tuple[Method, ...]:
    """Methods that come first for a task at the limit that a page opens with."""
    own = report.opening
    answer = None if own is None else report.answers.get(replace(own.setting, task=scenario.name))
    if answer is None:
        return ()
    return tuple(row.contender.method for row in (answer.best, answer.next) if row is not None)


def answer_data(report: Report) -> str:
    """JSON that may stand in a page: no ``<`` in it.

    ``opens``: the question that the page opens with. ``who``: contenders as (number of the method, label, way), rows
    name them by place. ``gaps``: gap → (words, levels). ``answers``: "gap level task" → words of the answer and its
    rows; a row is (place, 1 for one per method + 2 for a broken limit, its texts); texts stand once in ``texts``.
    """
    who: dict[tuple[str, str], tuple[int, list[str]]] = {}
    texts: dict[str, int] = {}
    tasks = [s.name for s in report.scenarios if any(setting.task == s.name for setting in report.answers)]
    found: dict[str, Any] = {}
    for setting, answer in report.answers.items():
        place = tasks.index(setting.task) if setting.task != ALL else -1
        words = answer_words(answer)
        found[f"{setting.gap} {setting.level} {place}"] = {
            "words": [
                words.name,
                asked_words(answer),
                words.reaches,
                words.warning,
                words.sure,
                words.open,
                words.costs,
                choose_command(answer, report.tasks),
            ],
            "rows": [_row(answer, row, who, texts) for row in _shown(answer)],
        }
    assert report.opening is not None  # a page without answers has no data of them
    opens = report.opening.setting
    data = {
        "opens": [opens.gap, opens.level, tasks.index(opens.task) if opens.task != ALL else -1],
        "who": [facts for _, facts in who.values()],
        "texts": list(texts),
        "tasks": tasks,
        "gaps": gaps(report),
        "answers": found,
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def gaps(report: Report) -> dict[str, list[Any]]:
    """Gap → its words, and its levels with theirs, in the order of the answers."""
    found: dict[str, list[Any]] = {}
    for setting in sorted(report.answers, key=lambda s: s.level == "any"):
        levels = found.setdefault(setting.gap, [gap_name(setting.gap), []])[1]
        if [setting.level, level_words(setting.level)] not in levels:
            levels.append([setting.level, level_words(setting.level)])
    return found


def _shown(answer: Answer) -> list[AnswerRow]:
    """Rows of the page: of single tasks one per method, the other ways stand in ``tables/answer.csv``."""
    return list(answer.rows if answer.setting.task == ALL else answer.main)


def _row(
    answer: Answer, row: AnswerRow, who: dict[tuple[str, str], tuple[int, list[str]]], texts: dict[str, int]
) -> list[Any]:
    told = cells(answer, row)
    place = who.setdefault(row.contender.id, (len(who), _facts(row.contender, row)))[0]
    own = (told.utility, told.against, told.verdict, told.gap, told.procedural, told.kept, told.ceiling, told.rank,
           told.seconds, told.group, told.note, told.mark)  # fmt: skip
    return [place, int(row.main) + 2 * int(told.broken), *(texts.setdefault(text, len(texts)) for text in own)]


def _facts(contender: Contender, row: AnswerRow) -> list[str]:
    return [str(contender.method.number), contender.method.label, way(row)]

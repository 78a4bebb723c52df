"""The answer in sentences: what the numbers say, and no more."""

import dataclasses
import re

import pytest

from foundation.words import listing, plural
from reports.answer.setting import Setting
from reports.levels.transfer import Share
from reports.render.answer.cells import cells
from reports.render.answer.words import answer_words, asked_words, choose_command
from reports.stats.statistics import Interval


def test_one_is_one():
    assert [plural(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert [plural(n, "box", "boxes") for n in (1, 2)] == ["1 box", "2 boxes"]


def test_listings_name_as_many_as_there_is_room_for():
    assert [listing(list(words)) for words in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert [listing(list(words), 2) for words in ("ab", "abc", "abcd")] == ["a and b", "a, b and c", "a, b and 2 more"]


def with_lead(answer, low, high, verdict, enough=None):
    """The answer with another difference to the one method that comes next."""
    mean = (low + high) / 2
    lead = dataclasses.replace(answer.next.lead, interval=Interval(mean, low, high, 0.5, 3, 2.0), verdict=verdict)
    following = dataclasses.replace(answer.next, lead=lead)
    return dataclasses.replace(answer, rows=(answer.best, following), next=following, enough=enough)


@pytest.fixture
def answer(level_report):
    return level_report.answers[Setting()]


def test_sure_is_said_only_of_what_is_sure(answer):
    sure = answer_words(with_lead(answer, -0.03, -0.01, "worse"))
    assert sure.sure.startswith("Surely better in utility than the one other method;") and sure.open == ""
    assert "+2.00 points of utility [+1.00, +3.00]" in sure.sure
    open_ = answer_words(with_lead(answer, -0.03, 0.01, "not separable", 40))
    assert open_.sure.startswith("Not separable from the one other method (") and "urely" not in open_.sure
    assert "+1.00 points of utility [−1.00, +3.00]" in open_.sure
    assert open_.open.startswith("Too small to decide") and "would need about 40 sources" in open_.open
    endless = answer_words(with_lead(answer, -0.03, 0.02999, "not separable"))
    assert "more than 1000 sources would be needed" in endless.open


def test_an_interval_that_only_the_correction_opens_is_called_that(answer):
    said = answer_words(with_lead(answer, -0.03, -0.01, "not separable"))
    assert said.open.startswith("Not settled:") and "Holm's correction for 1 comparison" in said.open


def test_a_broken_limit_is_a_warning_and_a_kept_one_is_told(answer):
    kept = dataclasses.replace(answer.best, kept=Share(9, 9, 9, 0.7, 1.0, 0.9))
    good = answer_words(dataclasses.replace(answer, best=kept, steady=None))
    assert (
        good.warning == "" and "The limit holds in 9 of 9 test parts (a rule without any gap: in 90 %)." in good.reaches
    )
    broken = dataclasses.replace(answer.best, kept=Share(0, 1, 1, 0.0, 0.8))
    bad = answer_words(dataclasses.replace(answer, best=broken, steady=None))
    assert bad.warning == "It broke its limit on test rows in 1 of 1 test part." and "holds" not in bad.reaches
    assert cells(answer, broken).broken and not cells(answer, kept).broken


def test_the_command_asks_what_was_asked(level_report):
    for setting, answer in level_report.answers.items():
        command = choose_command(answer, level_report.tasks)
        if setting.level in ("half", "quarter"):
            assert command == ""
            continue
        limit = "inf" if setting.level == "any" else setting.level
        assert command.endswith(f"--metric fair_res --max-gap {limit}")
        assert f"--task {setting.task or 'TASK'} --method {answer.best.contender.method.id} " in command
        assert f"--task {setting.task or 'german'} --method" in choose_command(answer, ["german"])


def test_no_sentence_counts_wrongly_or_shows_what_is_no_number(level_report):
    for answer in level_report.answers.values():
        said = " ".join([asked_words(answer), *vars(answer_words(answer)).values()])
        assert not re.search(r"\b1 (tasks|splits|sources|methods|parts)\b", said), said
        assert "nan" not in said and "None" not in said

"""Pairs of verified and refuted answers, and the page that people read."""

from dataclasses import replace

from llm_experts.data.example import Example
from llm_experts.families.registry import family_named
from llm_experts.generation.checks.check import Finding
from llm_experts.generation.draft import Draft
from llm_experts.generation.pairs import pairs_of
from llm_experts.generation.sample import sample_page, sampled
from tests.llm_experts.generation.planted import SPEC, question


def test_rejected_answers_are_refuted() -> None:
    family = family_named("arithmetic")
    drafts = [Draft(example, "moods") for example in family.make("train", 20, 0, None)]
    pairs = pairs_of(drafts, SPEC, 0)
    assert [pair.id for pair in pairs] == [draft.example.id for draft in drafts]
    for pair in pairs:
        assert pair.rejected is not None
        assert family.check(pair, pair.completion).correct
        assert not family.check(pair, pair.rejected).correct
    assert pairs_of(drafts, SPEC, 0) == pairs
    assert pairs_of(drafts, SPEC, 1) != pairs


def test_what_a_model_said_wrong_comes_first() -> None:
    draft = question("Ann", "yes")
    [pair] = pairs_of([draft], SPEC, 0, {"Ann-yes": [" ", "yes", "certainly not: no", "no"]})
    assert pair.rejected == "certainly not: no"
    kept = replace(draft, example=replace(draft.example, rejected="nope"))
    assert pairs_of([kept], SPEC, 0, {"Ann-yes": ["no"]}) == [kept.example]


def test_items_of_which_nothing_wrong_can_be_made_are_left_out() -> None:
    nobody = Draft(Example("a", "What? Answer:", "this", facts={"family": "riddles"}), "moods")
    unanswered = question("Ann", "yes")
    unanswered = replace(unanswered, example=replace(unanswered.example, completion=""))
    assert pairs_of([nobody, unanswered], SPEC, 0) == []


def test_the_sample_is_a_tenth_and_the_same_again() -> None:
    places = sampled(95, 3)
    assert len(places) == 10
    assert places == sorted(set(places)) == sampled(95, 3)
    assert places != sampled(95, 4)
    assert sampled(0, 0) == []
    assert sampled(3, 0, 1.0) == [0, 1, 2]


def test_the_page_shows_what_was_found_and_escapes_it() -> None:
    draft = question("Ann|<b>", "yes")
    draft = replace(draft, difficulty=0.25, variant_of="old*", example=replace(draft.example, rejected="no\nnever"))
    findings = {
        "answer": Finding(True, 1.0),
        "difficulty": Finding(False, 0.4321, "too hard: *why*"),
        "x": Finding(True),
    }
    page = sample_page("my #1 expert", [(draft, findings)], 0, 1.0)
    assert page.splitlines()[0] == "# Items of my #1 expert to read"
    assert "1 of 1 accepted items (seed 0)." in page
    assert "| topic | moods at difficulty 0.25 |" in page
    assert r"| prompt | Ann\|\<b\> says: the tea was fine." in page
    assert "| rejected answer | no↵never |" in page
    assert r"| made in place of | old\* |" in page
    assert "| check answer | ok (1) |" in page
    assert r"| check difficulty | no (0.432): too hard: \*why\* |" in page
    assert "| check x | ok |" in page

"""Planted faults are found, each by its check, and nothing else is."""

from dataclasses import replace

import pytest

from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.families.registry import family_named
from llm_experts.families.wrong import with_rejected, wrong_answer
from llm_experts.generation.checks.registry import CHECKS, checks_named
from llm_experts.generation.context import CheckOptions, Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.examined import accepted, examine
from llm_experts.generation.spec import DataSpec, Topic
from tests.llm_experts.generation.planted import SPEC, base_that_says, biased, question

FREE = [name for name, check in CHECKS.items() if not check.needs_model]


def drafts_of(family: str, count: int = 20, part: str = "train") -> list[Draft]:
    return [Draft(example, family) for example in family_named(family).make(part, count, 0, 0.0)]  # type: ignore[arg-type]


def spec_of(family: str) -> DataSpec:
    return DataSpec(expert="one", topics=(Topic(name=family, family=family),), count=10)


def reasons(name: str, drafts: list[Draft], context: Context, spec: DataSpec = SPEC) -> list[str]:
    [check] = checks_named([name])
    found = check.of(drafts, spec, context)
    assert all(bool(finding.reason) or finding.ok for finding in found)
    return [finding.reason for finding in found]


@pytest.mark.parametrize("family", ["arithmetic", "json_task", "sql", "strings", "dates", "lookup", "classification"])
def test_what_families_make_is_taken(family: str) -> None:
    examined = Context(protected={"test": family_named(family).make("test", 50, 0, 0.0)})
    found = examine(drafts_of(family), spec_of(family), examined, checks_named(FREE))
    assert [list(findings) for findings in found] == [["answer", "clarity", "contamination"]] * 20
    assert sum(map(accepted, found)) >= 19


@pytest.mark.parametrize("family", ["arithmetic", "json_task", "sql", "strings", "dates", "lookup", "classification"])
def test_a_wrong_answer(family: str) -> None:
    judge, spec = family_named(family), spec_of(family)
    right = drafts_of(family)
    wrong = [Draft(replace(d.example, completion=wrong_answer(judge, d.example)), family) for d in right]
    assert all(f"{family} refutes its answer" in reason for reason in reasons("answer", wrong, Context(), spec))
    pairs = [Draft(with_rejected(judge, draft.example), family) for draft in right]
    assert reasons("answer", pairs, Context(), spec) == [""] * 20
    both = [Draft(replace(draft.example, rejected=draft.example.completion), family) for draft in right]
    assert all("finds its rejected answer right" in reason for reason in reasons("answer", both, Context(), spec))


def test_answers_that_nobody_can_verify() -> None:
    unknown = Draft(Example("a", "What? Answer:", "this", facts={"family": "riddles"}), "moods")
    none = Draft(Example("b", "What? Answer:", facts={"family": "arithmetic", "answer": 3}), "moods")
    bare = Draft(Example("c", "What? Answer:", "3", facts={"family": "arithmetic"}), "moods")
    topical = Draft(Example("d", "Good? Answer:", "yes", facts={"label": "yes", "labels": ["yes", "no"]}), "moods")
    found = reasons("answer", [unknown, none, bare, topical], Context())
    assert found[:2] == ["no family can verify its answer", "it has no answer"]
    assert "its facts lack 'answer'" in found[2]
    assert found[3] == ""


def test_repetitions_among_drafts_and_with_what_was_accepted() -> None:
    context = Context(accepted=[question("Ann", "yes").example])
    again = question("Ann", "yes", "new")
    reworded = replace(
        again,
        example=replace(again.example, prompt="Is the tea good, yes or no?" + " Ann says: the tea was fine. Answer:"),
    )
    other, twin = question("Bea", "yes"), question("Bea", "yes", "twin")
    found = reasons("clarity", [again, reworded, other, twin], context)
    assert found == [
        "the same question as Ann-yes", "nearly the same question as Ann-yes", "", "the same question as Bea-yes",
    ]  # fmt: skip
    assert reasons("clarity", [other], context) == [""]  # nothing is accepted but by the caller
    context.accept(other.example)
    assert reasons("clarity", [other], context) == ["the same question as Bea-yes"]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("Short", "its prompt has 5 characters, not 8 to 8000"),
        ("What is it? " * 700, "its prompt has 8400 characters, not 8 to 8000"),
        ("What is this? Answer: ", "its prompt ends in a space, with which the answer begins"),
        ("What is\x00 this? Answer:", "it has control characters, or signs that were lost"),
        ("What is ï¿½ this\ufffd? Answer:", "it has control characters, or signs that were lost"),
        ("Ann has books, pens and", "its prompt breaks off"),
        ("Ann has (3", ""),
        ("Ann has (", "its prompt breaks off"),
        ("Write about rain", ""),
        ((Message("user", "What is it?"), Message("assistant", "A bird, or")), "its last turn is not a question"),
    ],
)
def test_unclear_prompts(prompt: str | tuple[Message, ...], reason: str) -> None:
    assert reasons("clarity", [Draft(Example("a", prompt, "this"), "moods")], Context()) == [reason]


def test_schema_and_tokens() -> None:
    odd = Draft(Example("a", "What is it? Answer:", "x", facts={"set": {1, 2}}), "moods")
    nameless = Draft(Example(" ", "What is it? Answer:", "x"), "moods")
    long = Draft(Example("c", "why " * 1500 + "? Answer:", "x"), "moods")
    assert reasons("clarity", [odd, nameless, long], Context()) == ["its facts are no plain JSON", "it has no id", ""]
    [told] = reasons("clarity", [long], Context(base_that_says(0.5)))
    assert told.endswith("tokens, and 1024 fit")


def test_a_wrong_twin_does_not_stand_in_the_way() -> None:
    wrong, right = question("Ann", "yes", "wrong"), question("Ann", "yes", "right")
    wrong = replace(wrong, example=replace(wrong.example, completion="no"))
    found = examine([wrong, right], SPEC, Context(), checks_named(FREE))
    assert [accepted(findings) for findings in found] == [False, True]
    assert list(found[0]) == ["answer"]
    every = examine([wrong, right], SPEC, Context(), checks_named(FREE), every=True)
    assert every[1]["clarity"].reason == "the same question as wrong"


def test_leaked_items() -> None:
    exam = [draft.example for draft in drafts_of("arithmetic", part="test")]
    leaked = Draft(replace(exam[0], id="mine", prompt=str(exam[0].prompt).upper()), "arithmetic")
    context = Context(protected={"the exam": exam})
    found = reasons("contamination", [leaked, *drafts_of("arithmetic")], context, spec_of("arithmetic"))
    assert found == [f"the exam has its question ({exam[0].id})", *[""] * 20]


def test_leaked_texts_outside_generated_families() -> None:
    text = " ".join(f"word{number}" for number in range(40))
    exam = [Example("e", f"{text} Question?", "a")]
    part = Draft(Example("p", f"Dear reader, {text} Another question?", "b"), "none")
    new = Draft(Example("n", "Something else is asked here altogether, and nobody wrote it before. Why?", "b"), "none")
    found = CHECKS["contamination"].of([part, new], SPEC, Context(protected={"exam": exam}))
    assert [finding.ok for finding in found] == [False, True]
    # 45 words, answer included, have 33 13-grams; 28 lie within the 40 words that both have
    assert found[0].value == pytest.approx(28 / 33)
    assert found[1].value == 0


@pytest.mark.parametrize(
    ("p_yes", "label", "begin"),
    [
        (0.75, "yes", ""),
        (0.75, "no", "too hard"),
        (0.97, "yes", "too easy"),
        (0.61, "yes", ""),
        (0.59, "yes", "too hard"),
    ],
)
def test_difficulty_of_listed_answers(p_yes: float, label: str, begin: str) -> None:
    right = p_yes if label == "yes" else 1 - p_yes
    context = Context(base_that_says(p_yes))
    [finding] = CHECKS["difficulty"].of([question("Ann", label)], SPEC, context)
    assert finding.value == pytest.approx(right, abs=1e-5)
    assert finding.reason.startswith(begin)
    assert finding.ok == (not begin)


def test_a_reported_difficulty_rejects_nothing() -> None:
    context = Context(base_that_says(0.97), options=CheckOptions(difficulty="report"))
    [finding] = CHECKS["difficulty"].of([question("Ann", "yes")], SPEC, context)
    assert finding.ok
    assert finding.value == pytest.approx(0.97, abs=1e-5)
    assert finding.reason.startswith("too easy")


def test_difficulty_of_drawn_answers_is_as_sure_as_their_number() -> None:
    """Sure answers without a completion to list: 8 of 8 may still be .90 (Wilson from .676), 64 of 64 not (.943)."""
    draft = question("Ann", "yes")
    draft = replace(draft, example=replace(draft.example, completion=""))
    base = base_that_says(1 - 1e-9, sure=30.0)
    few, many = (
        CHECKS["difficulty"].of([draft], SPEC, Context(base, options=CheckOptions(samples=k)))[0] for k in (8, 64)
    )
    assert (few.value, many.value) == (1.0, 1.0)
    assert few.ok
    assert many.reason.startswith("too easy")
    hard = replace(draft, example=replace(draft.example, facts={**draft.example.facts, "label": "no"}))
    [found] = CHECKS["difficulty"].of([hard], SPEC, Context(base))
    assert (found.value, found.ok) == (0.0, False)


def test_an_item_that_a_biased_model_answers_by_the_name() -> None:
    base, lanes, theta = biased()
    drafts = [question("Ann", "yes"), question("Ben", "yes"), question("Sid", "yes")]
    found = CHECKS["alignment"].of(drafts, SPEC, Context(base, lanes, theta, lane=0))
    assert [finding.ok for finding in found] == [False, False, True]
    assert found[0].value == pytest.approx(found[1].value, abs=1e-6)
    assert found[0].value > 0.5
    assert found[2].value != found[2].value  # Sid has no partner
    fair = CHECKS["alignment"].of(drafts, SPEC, Context(base, lanes, theta, lane=1))
    alone = CHECKS["alignment"].of(drafts, SPEC, Context(base))
    assert [finding.value for finding in fair[:2]] == pytest.approx([finding.value for finding in alone[:2]], abs=1e-6)
    told = CHECKS["alignment"].of(drafts, SPEC, Context(base, lanes, theta, options=CheckOptions(alignment="report")))
    assert all(finding.ok for finding in told)
    assert told[0].reason.startswith("the answer changes with the group")


def test_models_are_asked_only_of_what_the_others_left() -> None:
    wrong = question("Bea", "yes")
    wrong = replace(wrong, example=replace(wrong.example, completion="no"))
    found = examine([question("Ann", "yes"), wrong], SPEC, Context(base_that_says(0.75)), CHECKS)
    assert list(found[0]) == list(CHECKS)
    assert accepted(found[0])
    assert list(found[1]) == ["answer"]


def test_a_check_that_needs_a_model_says_so() -> None:
    with pytest.raises(DataError, match="Name one"):
        examine([question("Ann", "yes")], SPEC, Context(), checks_named(["difficulty"]))


def test_names_of_checks() -> None:
    assert checks_named(["all"]) == tuple(CHECKS.values())
    assert checks_named(["none"]) == ()
    assert [check.name for check in checks_named(["difficulty", "answer"])] == ["answer", "difficulty"]
    with pytest.raises(DataError, match="There is no check 'taste'; checks are answer, clarity"):
        checks_named(["taste"])
    assert examine([], SPEC, Context(), CHECKS) == []

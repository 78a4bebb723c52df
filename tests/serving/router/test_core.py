"""Policies of words, their chain, and what follows from it."""

from __future__ import annotations

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.router import ExpertProfile, Outcomes, Query, Router, RouterConfig, RouterError, chain
from serving.router.policies import keywords
from serving.router.query import tokens

SQL = ExpertProfile(
    "sql-expert",
    keywords=("sql", "select", "left join", "users"),
    exclude_keywords=("poem",),
    capabilities=("query:table",),
)
PYTHON = ExpertProfile("python-expert", keywords=("python", "pandas", "c++"))
GERMAN = ExpertProfile("german-expert", keywords=("Grammatik", "Straße", "数据库"))
ALL = (SQL, PYTHON, GERMAN)


def names(text: str, *profiles: ExpertProfile, **settings: object) -> tuple[str, ...]:
    router = Router.of(profiles or ALL, RouterConfig(**settings))  # type: ignore[arg-type]
    return router.route(text).names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("List users, who ARE older than 30!", ("list", "users", "who", "are", "older", "than", "30")),
        ("C++ and C# or .NET; C+", ("c++", "and", "c#", "or", "net", "c")),
        ("user_id", ("user", "id")),
        ("ＳＱＬ S\u00adQL STRASSE straße İstanbul", ("sql", "sql", "strasse", "strasse", "istanbul")),
        ("数据库 ok", ("数", "据", "库", "ok")),
        ("", ()),
    ],
)
def test_words_have_no_case_no_compatibility_forms_and_no_invisible_signs(text: str, words: tuple[str, ...]) -> None:
    assert tokens(text) == words


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("List users who are older than 30", ("sql-expert",)),  # holds "who are", does not begin with it
        ("What is SQL?", ()),
        ("Please, what is the SQL?", ()),
        ("What does SQL mean?", ()),
        ("Explain python", ()),
        ("What is wrong with this select: it has a left join and no rows?", ("sql-expert",)),
        ("Who are the users of this table, as SQL?", ("sql-expert",)),
        ("hello", ()),
        ("", ()),
    ],
)
def test_patterns_of_generic_prompts_are_anchored(text: str, chosen: tuple[str, ...]) -> None:
    assert names(text) == chosen


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("mysqlish pythonic selection", ()),  # whole words only
        ("join left of the tree", ()),  # a phrase has an order
        ("a left\njoin", ("sql-expert",)),
        ("write it in C++", ("python-expert",)),
        ("write it in C", ()),
        ("Wie heißt die STRASSE?", ("german-expert",)),
        ("请查询数据库的内容", ("german-expert",)),
        ("do it without using SQL", ()),
        ("do it without SQL, but SQL comments are fine", ("sql-expert",)),
    ],
)
def test_keywords_are_whole_words_and_phrases_of_any_script(text: str, chosen: tuple[str, ...]) -> None:
    assert names(text) == chosen


def test_an_exclude_keyword_wins_against_any_number_of_keywords_and_any_other_policy() -> None:
    text = "select users, left join, sql: a poem about a table"
    route = Router.of(ALL).route(text)
    assert route.experts == ()
    assert "poem" in route.features["ruled_out"]["sql-expert"]
    assert names(text, SQL, dataclasses.replace(PYTHON, requires={"sql-expert": "*"}, keywords=("about",))) == ()


def test_many_keywords_count_each_once() -> None:
    router = Router.of(ALL)
    once, often = (router.route(text).posterior["sql-expert"] for text in ("sql", "sql " * 50))
    assert once == often < router.route("sql select").posterior["sql-expert"]


def test_ties_go_to_the_priority_then_to_the_name_whatever_the_order_of_profiles() -> None:
    first, second = ExpertProfile("b", keywords=("x",)), ExpertProfile("a", keywords=("x",))
    assert names("x", first, second, at_most=1) == names("x", second, first, at_most=1) == ("a",)
    better = dataclasses.replace(first, priority=0.6)
    assert names("x", better, second, at_most=1) == ("b",)


def test_a_capability_tips_the_scale_and_proposes_nobody() -> None:
    assert names("a table of oaks") == ()
    one, other = ExpertProfile("a", keywords=("x",)), ExpertProfile("b", keywords=("x",), capabilities=("form:table",))
    assert names("x as a table", one, other, at_most=1) == ("b",)


def test_a_prompt_that_fits_everybody_is_the_bases() -> None:
    many = [ExpertProfile(f"e{i}", keywords=("x",)) for i in range(5)]
    route = Router.of(many).route("x")
    assert route.experts == () and route.abstained
    assert sum(route.posterior.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("one", "other", "chosen"),
    [
        ({}, {}, ("a", "b")),
        ({"incompatible_with": {"b": "*"}}, {}, ("a",)),
        ({}, {"incompatible_with": {"a": ">=1"}}, ("a",)),
        ({"incompatible_with": {"b": ">=2"}}, {}, ("a", "b")),
        ({"max_chain": 1}, {}, ("a",)),
        ({"load_order": 5}, {}, ("b", "a")),
        ({"requires": {"c": "*"}}, {}, ("c", "a", "b")),
        ({"requires": {"c": ">=2"}}, {}, ("b",)),
        ({"requires": {"d": "*"}}, {}, ("b",)),
        ({"requires": {"c": "*"}, "max_chain": 2}, {}, ("c", "a")),
    ],
)
def test_constraints_are_honoured(one: dict[str, object], other: dict[str, object], chosen: tuple[str, ...]) -> None:
    profiles = [
        ExpertProfile("a", keywords=("x",), **one),  # type: ignore[arg-type]
        ExpertProfile("b", keywords=("x",), **other),  # type: ignore[arg-type]
        ExpertProfile("c", load_order=-1 if "load_order" in one else 0),
    ]
    assert names("x", *profiles) == chosen


def test_weights_of_the_chosen_sum_to_one_and_the_required_have_that_of_who_requires_them() -> None:
    helper = ExpertProfile("helper")
    profiles = (ExpertProfile("a", keywords=("x", "y"), requires={"helper": "*"}), ExpertProfile("b", keywords=("x",)))
    weights = dict(Router.of([*profiles, helper], RouterConfig(share=0.1)).route("x y").experts)
    assert weights["a"] + weights["b"] == pytest.approx(1)
    assert weights["helper"] == weights["a"] > weights["b"]


def test_virtual_tokens_have_weight_one_and_two_prefixes_do_not_stand_together() -> None:
    first = ExpertProfile("a", keywords=("x",), kinds=("soft_prompt",))
    assert dict(Router.of([first, ExpertProfile("b", keywords=("x",))]).route("x").experts) == {"a": 1.0, "b": 0.5}
    prefixes = [ExpertProfile(name, keywords=("x",), kinds=("prefix",)) for name in "ab"]
    assert names("x", *prefixes) == ("a",)


WORDS = st.lists(st.sampled_from(["sql", "users", "python", "poem", "what", "is", "left", "join", "tree"]), max_size=8)


@given(WORDS, st.lists(st.sampled_from(["zebra", "quagga", "okapi horn"]), max_size=3), st.floats(0, 1))
def test_an_unrelated_expert_changes_no_decision(words: list[str], keywords: list[str], priority: float) -> None:
    text = " ".join(words)
    before = Router.of(ALL).route(text)
    after = Router.of([ExpertProfile("a-first", keywords=tuple(keywords), priority=priority), *ALL]).route(text)
    assert (after.experts, after.posterior) == (before.experts, before.posterior)


def _world(seed: int) -> tuple[list[ExpertProfile], RouterConfig, Outcomes]:
    """Some eighty experts that share many keywords, with ties, vetoes, constraints, outcomes and weights."""
    draw = random.Random(seed)
    words = ["red", "green", "blue", "dark blue", "grey", "pink"]
    profiles = [
        ExpertProfile(
            f"e{k}",
            keywords=("all", *draw.sample(words, draw.randint(0, 3))),
            exclude_keywords=tuple(draw.sample(["not", "ever"], draw.choice((0, 0, 0, 1)))),
            capabilities=tuple(draw.sample(["form:table", "form:list"], draw.randint(0, 1))),
            priority=draw.choice((0.5, 0.5, 0.2, 0.7, 0.7 + 1e-12, draw.random())),
            incompatible_with={f"e{draw.randrange(80)}": "*"} if draw.random() < 0.3 else {},
        )
        for k in draw.sample(range(80), 80)
    ]
    config = RouterConfig(
        weights={"priority": draw.choice((1.0, 0.3)), "keywords": draw.choice((1.0, 2.5))},
        threshold=draw.choice((0.5, 0.8)),
        share=draw.uniform(0.01, 1),
        abstain=draw.choice((0.0, 0.01, 0.2)),
    )
    outcomes = Outcomes.of({f"e{draw.randrange(80)}": (draw.randrange(9), draw.randrange(9)) for _ in range(30)})
    return profiles, config, outcomes


@pytest.mark.parametrize("seed", range(12))
def test_many_candidates_are_weighed_as_arrays_to_the_same_decisions(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles, config, outcomes = _world(seed)
    router = Router.of(profiles, config, outcomes=outcomes)
    draw = random.Random(seed)
    words = ["all", "red", "green", "dark", "blue", "grey", "pink", "not", "ever", "table", "list", "who", "is"]
    for text in (" ".join(draw.sample(words, draw.randint(1, 7))) for _ in range(12)):
        found = []
        for few in (1, 10_000, 1):  # twice, as what was kept must not have been changed
            monkeypatch.setattr(chain, "FEW", few)
            monkeypatch.setattr(keywords, "MANY", few)
            route = router.route(text)
            found.append((route, list(route.posterior), list(router.decide(Query(text)).margins.items())))
        assert found[0] == found[1] == found[2]


@given(WORDS, st.permutations(ALL))
def test_the_order_of_experts_changes_no_decision(words: list[str], profiles: list[ExpertProfile]) -> None:
    text = " ".join(words)
    assert Router.of(profiles).route(text).experts == Router.of(ALL).route(text).experts


@given(st.text(max_size=60))
def test_any_text_is_routed_and_explained(text: str) -> None:
    route = Router.of(ALL).route(text, explain=True)
    assert sum(route.posterior.values()) == pytest.approx(1) and route.why and route.counterfactual


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sort it with pandas", "Without the word 'pandas' the base answers."),
        ("sql or pandas", "Without the word 'sql' python-expert answers."),
        ("a poem in sql", "Without the word 'poem' sql-expert answers."),
        ("a tree", "With the word 'sql' of sql-expert, for instance, sql-expert answers."),
    ],
)
def test_an_explanation_names_the_smallest_change(text: str, said: str) -> None:
    router = Router.of(ALL)
    assert said in router.route(text, explain=True).counterfactual
    assert router.route(text).counterfactual == ""


def test_the_priority_that_an_explanation_names_changes_the_choice() -> None:
    router = Router.of(ALL, RouterConfig(at_most=1))
    said = router.route("users select sql by pandas and python", explain=True).counterfactual
    needed = float(said.split("would have to be above ")[1].split()[0])
    for priority, first in ((needed + 0.01, "python-expert"), (needed - 0.01, "sql-expert")):
        changed = [SQL, dataclasses.replace(PYTHON, priority=priority), GERMAN]
        assert Router.of(changed, RouterConfig(at_most=1)).route("users select sql by pandas and python").names == (
            first,
        )


def test_feedback_moves_the_prior_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    router = Router.of(ALL, outcomes=Outcomes(path))
    assert router.route("pandas").names == ("python-expert",)
    before = router.route("pandas").posterior["python-expert"]
    router.feedback("python-expert", won=True)
    assert router.route("pandas").posterior["python-expert"] > before
    for _ in range(8):
        router.feedback("python-expert", won=False)
    assert router.route("pandas").names == ()
    again = Router.of(ALL, outcomes=Outcomes(path))
    assert again.route("pandas").names == () and again.outcomes.counts == {"python-expert": (1, 8)}
    again.feedback("base", won=False)
    assert router.outcomes.counts["base"] == (0, 1)  # what another router wrote
    with pytest.raises(RouterError, match="no expert 'nobody'"):
        router.feedback("nobody", won=True)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(RouterError, match="mend the file"):
        router.route("pandas")


def test_outcomes_of_many_writers_are_all_kept(tmp_path: Path) -> None:
    """Each with its own file descriptor, as processes have them: the lock is that of the file."""
    path = tmp_path / "outcomes.json"

    def report(writer: int) -> None:
        mine = Outcomes(path)
        for number in range(15):
            mine.add(f"e{writer % 2}", won=number % 3 == 0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, range(4)))
    assert dict(Outcomes(path).counts) == {"e0": (10, 20), "e1": (10, 20)}


def test_a_loss_of_the_base_helps_every_expert() -> None:
    router = Router.of(ALL)
    before = router.route("pandas").posterior["python-expert"]
    router.feedback("base", won=False)
    assert router.route("pandas").posterior["python-expert"] > before


def test_a_router_is_saved_and_loaded(tmp_path: Path) -> None:
    config = RouterConfig(at_most=3, weights={"keywords": 0.5}, order=("keywords", "dispatch"))
    router = Router.of([*ALL, ExpertProfile("a", requires={"sql-expert": "^1"}, load_order=3)], config)
    router.feedback("sql-expert", won=True)
    router.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    assert again.profiles == router.profiles and again.config == config
    assert again.route("sql or pandas") == router.route("sql or pandas")
    assert not list((tmp_path / "router").rglob("*.pkl"))
    with pytest.raises(RouterError, match="holds no router"):
        Router.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('order = ["keyword"]', "Did you mean 'keywords'"),
        ("treshold = 0.4", "Did you mean 'threshold'"),
        ("threshold = 2", "threshold must lie in"),
        ("at_most = 0", "give 1 to 10"),
        ("weights = 3", "wrong kind"),
        ("[generic]\nwhole = 3", "wrong kind"),
        ('[generic]\nwhole = ["what is <3-1>"]', "a smallest and a largest"),
        ('[generic]\nwhole = [""]', "is empty"),
        ("order = [", "cannot be read"),
        (f"at_most = {'1' * 5000}", "cannot be read: .* is no valid TOML"),
    ],
)
def test_a_config_that_cannot_be_is_refused_with_a_reason(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "router.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RouterError, match=said):
        Router.of(ALL, RouterConfig.read(path))


def test_a_config_is_read(tmp_path: Path) -> None:
    path = tmp_path / "router.toml"
    path.write_text('at_most = 1\n[weights]\nkeywords = 2\n[generic]\nwhole = ["ping"]\n', encoding="utf-8")
    config = RouterConfig.read(path)
    assert (config.at_most, config.weights, config.generic.whole) == (1, {"keywords": 2}, ("ping",))
    assert Router.of([ExpertProfile("a", keywords=("ping",))], config).route("ping").policy == "generic"


def test_names_are_the_experts_own() -> None:
    with pytest.raises(RouterError, match="two experts have the name 'a'"):
        Router.of([ExpertProfile("a"), ExpertProfile("a")])
    with pytest.raises(RouterError, match="that of the base"):
        Router.of([ExpertProfile("base")])


def test_a_state_is_computed_only_if_a_policy_asks() -> None:
    asked = []
    query = Query("a", asked.append)  # type: ignore[arg-type]
    assert asked == []
    Router.of(ALL, RouterConfig(order=("keywords",))).decide(query)
    assert asked == []

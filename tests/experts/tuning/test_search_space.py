import json

import pytest

from experts.tuning.search_space import describe, ranges, search_space


def test_published_spaces_are_those_of_the_earlier_tuner():
    lr, decay, strength = (1e-5, 1e-3), (1e-6, 1e-3), (0.01, 10.0)
    assert ranges("utility") == {"lr": lr, "weight_decay": decay}
    assert ranges("result") == {"lr": lr, "weight_decay": decay, "lambda_rep": strength, "lambda_fair": strength}
    assert ranges("procedural") == {
        "lr": lr,
        "weight_decay": decay,
        "lambda_attention": strength,
        "lambda_adv": strength,
    }


def test_wide_space_moves_the_learning_rate_only():
    for role in ("utility", "result", "procedural"):
        published, wide = ranges(role), ranges(role, "wide")
        assert wide["lr"] == (1e-4, 3e-2)
        assert {k: v for k, v in wide.items() if k != "lr"} == {k: v for k, v in published.items() if k != "lr"}


@pytest.mark.parametrize(("alias", "role"), [("expert1", "utility"), ("expert2", "result"), ("expert3", "procedural")])
def test_aliases_name_the_same_space(alias, role):
    assert search_space(alias) == search_space(role)


def test_distributions_are_log_uniform_with_the_stated_bounds():
    for name, distribution in search_space("result", "wide").items():
        assert (distribution.low, distribution.high) == ranges("result", "wide")[name]
        assert distribution.log


def test_description_is_json_and_complete():
    text = json.loads(json.dumps(describe("procedural")))
    assert text["lr"] == {"low": 1e-5, "high": 1e-3, "scale": "log-uniform"}
    assert set(text) == set(ranges("procedural"))


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="utility, result, procedural"):
        ranges("expert4")
    with pytest.raises(ValueError, match="published, wide"):
        search_space("utility", "narrow")

"""A composition has one form, and says what is wrong with others."""

import pytest

from llm_experts.runtime.composition import BASE, Composition, CompositionError


def test_one_form_however_it_was_written() -> None:
    one, other = Composition.of({"b": 0.5, "a": 1}), Composition((("a", 1.0), ("c", 0), ("b", 0.5)))
    assert one == other and hash(one) == hash(other) and one.key == other.key
    assert one.parts == (("a", 1.0), ("b", 0.5)) and one.names == ("a", "b")
    assert Composition.of({"a": 0.0}) == BASE == Composition()
    assert Composition.of({"a": 0.1 + 0.2}).key != Composition.of({"a": 0.3}).key
    assert Composition.of({'a",1],["b': 1.0}).key != Composition.of({"a": 1.0, "b": 1.0}).key


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((("a", 1.0), ("a", 2.0)), "'a' is named twice"),
        ((("a", float("nan")),), "is nan"),
        ((("a", 1e9),), "between -100 and 100"),
        ((("a", True),), "no number"),
        ((("a", "1"),), "no number"),
        ((("", 1.0),), "no name"),
        (tuple((str(index), 1.0) for index in range(11)), "11 experts are composed"),
    ],
)
def test_what_is_no_composition_is_refused(parts: tuple[tuple[str, float], ...], why: str) -> None:
    with pytest.raises(CompositionError, match=why):
        Composition(parts)

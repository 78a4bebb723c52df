from hypothesis import given
from hypothesis import strategies as st

from llm_experts.prompts.batches import length_batches


def test_batches_of_like_length() -> None:
    assert length_batches([3, 4, 4, 9], 12) == [slice(0, 3), slice(3, 4)]
    assert length_batches([30], 12) == [slice(0, 1)]
    assert length_batches([], 12) == []
    assert length_batches([9, 4, 4, 3], 12) == [slice(0, 1), slice(1, 4)]
    assert length_batches([4, 4, 4, 3], 12, most=2) == [slice(0, 2), slice(2, 4)]


@given(st.lists(st.integers(1, 60)), st.integers(1, 300), st.booleans(), st.integers(1, 9) | st.none())
def test_batches_are_as_large_as_they_may_be(lengths: list[int], tokens: int, falling: bool, most: int | None) -> None:
    lengths = sorted(lengths, reverse=falling)
    batches = length_batches(lengths, tokens, most)
    assert [i for batch in batches for i in range(len(lengths))[batch]] == list(range(len(lengths)))
    for batch in batches:
        inside, larger = lengths[batch], lengths[batch.start : batch.stop + 1]
        assert len(inside) == 1 or (len(inside) * max(inside) <= tokens and (most is None or len(inside) <= most))
        if batch.stop < len(lengths):
            assert len(larger) * max(larger) > tokens or len(inside) == most

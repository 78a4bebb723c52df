"""What a base says of itself."""

from llm_experts.bases.base import Base


def test_texts_end_where_tokenizer_or_settings_say(tiny_base: Base) -> None:
    """Settings name one token, several, or none."""
    own = tiny_base.tokenizer.eos_token_id
    tiny_base.model.generation_config.eos_token_id = [5, 7]
    tiny_base.model.config.eos_token_id = None
    assert tiny_base.end_tokens == {own, 5, 7}
    tiny_base.model.generation_config.eos_token_id = 9
    tiny_base.model.config.eos_token_id = 11
    assert tiny_base.end_tokens == {own, 9, 11}

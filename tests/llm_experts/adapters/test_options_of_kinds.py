"""Options of an adapter that its kind does not know, or of another type, are told of by name."""

from typing import Any

import pytest

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import ADAPTERS
from tests.llm_experts.conftest import make_tiny_base


@pytest.mark.parametrize("options", [{"nothing": 1}, {"target_modules": 3}])
def test_wrong_options_are_refused_by_name(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(AdapterError, match=rf"kind lora cannot be made with {name} = .* Correct the options"):
        ADAPTERS["lora"].make_config(4, None, make_tiny_base().model, **options)

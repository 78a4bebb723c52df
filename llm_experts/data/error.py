"""What is wrong with data that an expert should learn from or be examined on."""

from __future__ import annotations

from tasks.card import DataError as DataError

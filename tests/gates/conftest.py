from __future__ import annotations

from tests.views import make_view

__all__ = ["make_view"]

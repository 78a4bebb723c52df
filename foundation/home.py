"""The one folder of this user: what was measured, whom the user trusts, what is installed."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The user's folder of fairmoe; ``FAIRMOE_HOME`` moves it."""
    if "FAIRMOE_HOME" in os.environ:
        return Path(os.environ["FAIRMOE_HOME"]).expanduser().resolve()
    from platformdirs import user_data_path

    return user_data_path("fairmoe")

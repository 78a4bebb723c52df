"""The Python of README.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn

from foundation.seeding import numpy_generator

ROOT = Path(__file__).resolve().parents[1]


def loans(n: int = 400) -> pd.DataFrame:
    random = numpy_generator(0, "loans")
    sex = random.choice(["woman", "man"], n)
    income = random.normal(3000, 800, n).round()
    approved = income + 400 * (sex == "man") + random.normal(0, 400, n) > 3200
    table = pd.DataFrame({"sex": sex, "job": random.choice(["cook", "nurse", None], n), "income": income})
    table.loc[::9, "income"] = np.nan
    return table.assign(approved=np.where(approved, "yes", "no"))


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    loans().to_csv(tmp_path / "loans.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with sklearn.config_context():
        exec(compile(code, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "null_p95" in shown and "selection" in shown and re.search(r"\[0\.\d+ .*\]", shown)
    frame = names["frame"]
    assert frame.overall.loc["acc@1", "estimate"] > 0.6  # type: ignore[attr-defined]

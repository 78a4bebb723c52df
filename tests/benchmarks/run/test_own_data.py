"""A table that the project has never seen: card, benchmark, and a served mixture that reads its raw cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.models import load_model
from benchmarks.models.error import MissingColumnError

BINS = """bins = [
    { name = "north", below = 110 },
    { name = "south", at_least = 110, below = 125 },
]
"""


def write_table(path: Path) -> pd.DataFrame:
    """Blanks, '?', empty cells, and area codes that are numbers but no quantities."""
    random = np.random.default_rng(0)
    rows = 400
    sex = random.choice(["f", "m"], rows)
    age = random.integers(18, 70, rows).astype(float)
    hired = random.normal(size=rows) + (age - 40) / 20 + 0.8 * (sex == "m") > 0
    age[random.random(rows) < 0.05] = np.nan
    job = random.choice([" clerk", " nurse", " ?", " smith"], rows)
    area = random.integers(100, 130, rows)
    table = pd.DataFrame({"sex": sex, "age": age, "job": job, "area": area, "hired": np.where(hired, "yes", "no")})
    table.loc[:4, "sex"] = None
    table.to_csv(path, index=False)
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def fairmoe(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_from_a_csv_to_a_leaderboard_and_a_served_mixture(tmp_path: Path) -> None:
    table = write_table(tmp_path / "loans.csv")
    card = tmp_path / "loans.card.toml"
    fairmoe("data", "card", str(tmp_path / "loans.csv"))
    text = card.read_text().replace('name = "area"\nkind = "numeric"', f'name = "area"\nkind = "categorical"\n{BINS}')
    assert "bins" in text
    card.write_text(text)
    output = tmp_path / "out"
    options = ["--trials", "2", "--splits", "1", "--jobs", "1", "--method", "mixture", "--method", "constant"]
    fairmoe("bench", "quick", "--task", str(card), "--output", str(output), *options)

    results = pd.read_csv(output / "results.csv")
    assert set(results["task"]) == {"loans"}
    assert "loans" in (output / "leaderboard.md").read_text()
    for page in ("leaderboard.md", "leaderboard.html"):
        assert "5 rows of the data left the task" in (output / page).read_text()
    (model,) = output.glob("jobs/loans_split0_*/cells/*/model")
    served = load_model(model)
    assert any(name.startswith("area=north") for name in served.encoder.feature_names)
    # validation rows are stored as models say that have not seen them; what is served is the mean of all models
    predictions = pd.read_parquet(model.parent / "predictions.parquet").query("part == 'test'")
    stored = predictions.set_index("row")["probability"]
    raw = table.iloc[stored.index]
    assert served.predict_proba(raw)[:, 1] == pytest.approx(stored.to_numpy(), abs=1e-5)
    words = raw.astype("object").where(raw.notna(), None)  # as a service would hand them over
    assert served.predict_proba(words)[:, 1] == pytest.approx(stored.to_numpy(), abs=1e-5)
    with pytest.raises(MissingColumnError, match="job"):
        served.predict(raw.drop(columns="job"))

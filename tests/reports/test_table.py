import json
import math
import random
import shutil

import pandas as pd
import pytest

from reports import table
from reports.table import (
    FURTHER,
    GROUPS,
    RESULTS,
    ReportError,
    frame,
    missing_cells,
    read_results,
    write_csv,
    write_results,
)


def row(**changes):
    base = dict.fromkeys(("suite", "task", "task_hash", "split_hash", "method", "reason"), "x")
    base |= {"protocol": "robust", "use_sensitive": "keep", "role": "utility", "family": "mlp", "part": "test"}
    base |= {"split": 0, "seed": 0, "metric": "dp@1", "status": "ok", "reason": ""}
    base |= {"estimate": 0.1, "low": 0.0, "high": 0.2, "null_p95": 0.05}
    return base | changes


def write(folder, results):
    write_results(folder, results=results, groups=[], routing=[], provenance=[])
    (folder / "suite.json").write_text("{}")
    return folder


def rows():
    return [
        row(split=s, method=m, metric=k, estimate=1 / (s + 3)) for s in range(3) for m in "ba" for k in ("f1@1", "dp@1")
    ]


def test_same_content_same_bytes_in_any_order(tmp_path):
    shuffled = rows()
    random.Random(0).shuffle(shuffled)
    one, two = write(tmp_path / "one", rows()), write(tmp_path / "two", shuffled)
    for name in ("results.parquet", "results.csv", "groups.csv", "routing.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_sorted_by_all_keys_with_integer_splits(tmp_path):
    folder = write(tmp_path, [row(split=s) for s in (10, 9, 2)])
    assert pd.read_csv(folder / "results.csv")["split"].tolist() == [2, 9, 10]


def test_numbers_survive_csv_and_parquet_to_the_bit(tmp_path):
    tricky = [0.1 + 0.2, 1e-17, 1 / 3, 5e-324, 0.0]
    folder = write(tmp_path, [row(split=i, estimate=v) for i, v in enumerate(tricky)])
    assert read_results(folder).results["estimate"].tolist() == tricky
    text = pd.read_csv(folder / "results.csv", dtype=str)["estimate"].tolist()
    assert [float(t) for t in text] == tricky
    assert text[0] == "0.30000000000000004"


def test_absent_numbers_are_nan_and_reasons_are_text(tmp_path):
    folder = write(tmp_path, [row(estimate=math.nan, status="not_estimable", reason='no, "really"\nno'), row(split=1)])
    back = read_results(folder).results
    assert math.isnan(back["estimate"][0]) and back["reason"].tolist() == ['no, "really"\nno', ""]


def test_wrong_columns_and_repeated_keys_are_refused():
    with pytest.raises(ReportError, match=r"lacks the columns \['role'\].*unknown columns \['rolle'\]"):
        frame([{("rolle" if k == "role" else k): v for k, v in row().items()}], RESULTS, "results")
    with pytest.raises(ReportError, match="share all key columns"):
        frame([row(), row(estimate=0.5)], RESULTS, "results")


def test_what_is_absent_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"There is no results\.parquet in .*output folder of a bench run"):
        read_results(tmp_path)
    write(tmp_path, rows())
    (tmp_path / "groups.csv").write_text("a,b\n")
    with pytest.raises(ReportError, match=r"groups\.csv has the columns"):
        read_results(tmp_path)


def test_levels_of_earlier_versions_bounded_the_result_gap(level_run, tmp_path):
    folder = shutil.copytree(level_run, tmp_path / "old")
    new = read_results(folder).further["levels"]
    lines = pd.read_csv(folder / "levels.csv", dtype=str, keep_default_na=False)
    lines.drop(columns="gap").to_csv(folder / "levels.csv", index=False)
    pd.testing.assert_frame_equal(read_results(folder).further["levels"], new)
    assert set(new["gap"]) == {"fair_res@1"} and math.inf in set(new["estimate"])


def test_empty_tables_keep_their_columns(tmp_path):
    assert tuple(read_results(write(tmp_path, rows())).groups.columns) == GROUPS.columns


def test_every_missing_cell_is_named(tmp_path, make_run):
    gone = [("german", "uniform", 1), ("scm", "constant", 0)]
    folder = make_run(
        tmp_path, tasks=("german", "scm"), splits=2, methods=("mixture", "uniform", "constant"), drop=gone
    )
    missing = missing_cells(read_results(folder))
    assert missing == [
        "german · uniform · split 1 · seed 0 · sensitive keep",
        "scm · constant · split 0 · seed 0 · sensitive keep",
    ]
    suite = json.loads((folder / "suite.json").read_text())
    assert "nba" in suite["tasks"]  # unavailable: told with its reason, not as a missing cell


def test_tables_of_earlier_versions_are_read(tmp_path):
    """Levels without trials, trials without parameters, and no thresholds at all."""
    levels = {
        **dict.fromkeys(FURTHER["levels"].columns, "x"),
        "split": 0,
        "seed": 0,
        "estimate": 0.5,
        "validation": 0.6,
    }
    trials = {**dict.fromkeys(FURTHER["trials"].columns, 0.5), "split": 0, "seed": 0, "trial": 3, "state": "ok"}
    for name, row, younger in (("levels", levels, "trial"), ("trials", trials, "params")):
        write_csv(frame([row], FURTHER[name], name).drop(columns=younger), tmp_path / f"{name}.csv")
        (found,) = table._read_csv(tmp_path / f"{name}.csv", FURTHER[name]).to_dict("records")
        assert found[younger] == ""
    assert table._read_csv(tmp_path / "thresholds.csv", FURTHER["thresholds"]).empty


def test_a_trial_of_a_level_is_a_text_and_one_of_a_study_a_number(tmp_path):
    head = {**dict.fromkeys(FURTHER["levels"].columns, "x"), "split": 0, "seed": 0, "estimate": 0.5, "validation": 0.6}
    rows = [{**head, "level": "0.05", "trial": "12"}, {**head, "level": "any", "trial": ""}]
    write_csv(frame(rows, FURTHER["levels"], "levels"), tmp_path / "levels.csv")
    found = table._read_csv(tmp_path / "levels.csv", FURTHER["levels"])
    assert found["trial"].tolist() == ["12", ""]

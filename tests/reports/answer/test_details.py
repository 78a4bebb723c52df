import dataclasses
import json

from reports.answer.details import details
from reports.saved import Saved, saved_models
from reports.table import read_results


def test_a_cell_tells_its_trial_its_run_and_its_command(level_run, level_report):
    told = level_report.details
    cells = told.cells["utility"]
    assert [(c.task, c.split) for c in cells[:2]] == [("german", 0), ("german", 1)]
    assert {(c.trial, c.params) for c in cells} == {("3", '{"width": 3}')}
    assert {c.trial for c in told.cells["constant"]} == {""}  # the constant predictor is no configuration
    provenance = read_results(level_run).provenance.set_index("cell")
    for cell in cells:
        assert provenance.loc[cell.cell, "mlflow_run_id"] == cell.run_id
        assert provenance.loc[cell.cell, "reproduce"] == told.commands[cell.command - 1]
    assert len(set(told.commands)) == len(told.commands)


def test_a_run_of_an_earlier_version_tells_no_trial(level_run, level_report):
    tables = read_results(level_run)
    old = {
        "levels": tables.further["levels"].assign(trial=""),
        "trials": tables.further["trials"].drop(columns="params"),
    }
    told = details(dataclasses.replace(tables, further=old), level_report.scenarios)
    assert {(c.trial, c.params) for own in told.cells.values() for c in own} == {("", "")}


def test_saved_models_are_found_below_the_run_by_what_they_say(tmp_path):
    for folder, facts in {"german/b": {"task": "german", "method": "mixture"}, "a": {"task": "scm", "method": "x"},
                          "c": {"format": "another"}}.items():  # fmt: skip
        (tmp_path / "models" / folder).mkdir(parents=True)
        (tmp_path / "models" / folder / "model.json").write_text(json.dumps(facts))
    assert saved_models(tmp_path) == (Saved("models/a", "scm", "x"), Saved("models/german/b", "german", "mixture"))
    assert saved_models(tmp_path / "models") == ()

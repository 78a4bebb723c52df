"""What models that were made again reach at the levels that the run has told."""

import json
import math

import pandas as pd
import torch

from benchmarks.run.levels import REPORTED
from metrics.points import point_values
from metrics.thresholds import Thresholds
from moe.decision.problem import blend
from reports.table import read_results

KEYS = ["variant", "gap", "level", "procedural"]


def level_tables_of(run, handle):
    """Rows of "levels" and "thresholds" of a cell."""
    tables = read_results(run).further
    return tuple(
        t[(t["method"] == handle.method) & (t["split"] == handle.job.split) & (t["task"] == handle.job.title)]
        for t in (tables["levels"], tables["thresholds"])
    )


def check_levels(run, rebuilt):
    """Each level row with a model: that model, made again, with the stored cuts, has the stored values on test rows."""
    levels, thresholds = level_tables_of(run, rebuilt.handle)
    view, task = rebuilt.view, rebuilt.task
    rows = view.split.test
    margins = {}
    checked = 0

    def say(name, model):
        if name not in margins:
            margins[name] = model().logits(view, rows).detach()
        return margins[name]

    for key, told in levels[levels["status"] == "ok"].groupby(KEYS):
        variant, trial = key[0], told["trial"].iloc[0]
        cuts = thresholds[(thresholds[KEYS] == pd.Series(dict(zip(KEYS, key, strict=True)))).all(axis=1)]
        if variant == "plain":
            assert cuts.empty
            number = int(trial) if trial else None
            probability = say(trial, lambda n=number: rebuilt.expert(n))
            probability = torch.sigmoid(probability.double()).float() if trial else torch.sigmoid(probability)
        else:
            assert trial == "" and list(cuts["group"]) == sorted(task.group_names)
            by_group = cuts.set_index("group")["cut"]
            rule = Thresholds(torch.tensor([by_group[name] for name in task.group_names], dtype=torch.float64), 0.0)
            if variant == "decision":
                shares = torch.tensor(json.loads(cuts["shares"].iloc[0]), dtype=torch.float64)
                said = [rebuilt.members()[k].logits(view, rows).detach() if s else torch.zeros(len(rows))
                        for k, s in enumerate(shares.tolist())]  # fmt: skip
                base = blend(torch.stack(said), shares)
            else:
                own = say("", rebuilt.expert) if variant == "thresholds" else say("bag", rebuilt.bag)
                base = torch.sigmoid(own) if variant == "thresholds" else torch.sigmoid(own.double())
            probability = rule.apply(base, view.groups[rows])
        metrics = [m for m in told["metric"] if m in REPORTED]
        known = task.labels[rows], task.groups[rows], len(task.group_names)
        values = point_values(probability[None].double(), *known, metrics=metrics)
        for metric, stored in zip(told["metric"], told["estimate"], strict=True):
            if metric in metrics:
                found = float(values[metric][0])
                assert abs(found - stored) <= 1e-6 or (math.isnan(found) and math.isnan(stored)), (key, metric)
                checked += 1
    return checked

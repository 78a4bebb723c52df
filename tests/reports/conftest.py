"""A made-up run: numbers with a known structure, for pages only. Nothing outside the tests reads it."""

import itertools
import json
import math

import numpy as np
import pytest

from reports.table import write_results

TASKS = {
    "german": ("female", "male"),
    "bail_clean": ("other", "white"),
    "credit": ("25 or older", "under 25"),
    "adult:sex": ("Female", "Male"),
    "compas:race": ("African-American", "Caucasian", "Hispanic"),
    "scm": ("a", "b"),
}
METHODS = {
    "mixture": ("mixture", "mixture"),
    "gate_dense": ("mixture", "mixture"),
    "gate_top2": ("mixture", "mixture"),
    "static_simplex": ("mixture", "mixture"),
    "uniform": ("mixture", "mixture"),
    "best_single": ("mixture", "mixture"),
    "utility": ("utility", "mlp"),
    "result": ("result", "mlp"),
    "procedural": ("procedural", "mlp"),
    "result_lambda0": ("result", "mlp"),
    "procedural_lambda0": ("procedural", "mlp"),
    "combined_mlp": ("baseline", "mlp"),
    "constant": ("baseline", "constant"),
    "logistic_regression": ("baseline", "linear"),
    "gradient_boosting": ("baseline", "gbdt"),
}
MIXTURES = [m for m, (role, _) in METHODS.items() if role == "mixture"]
EXPERTS = ("utility", "result", "procedural")
GAPS = ("dp@1", "eopp@1", "eodds@1", "fair_res@1", "ref@1", "vef@1", "att_jsd@1", "signed_att@1", "fair_proc@1")
GIVEN = ("cfr@1", "sens_share@1", "gpf_fae@1", "brier@1", "ece@1")


def scores(rng, task, method, split):
    """Metric → estimate: fair methods give up a little utility for smaller gaps."""
    level = np.random.default_rng([3, list(TASKS).index(task)])
    base, gap = level.uniform(0.68, 0.84), level.uniform(0.04, 0.18)
    own = np.random.default_rng([5, list(TASKS).index(task), list(METHODS).index(method)])
    fair = {"result": 0.35, "combined_mlp": 0.6, "mixture": 0.5, "gate_dense": 0.6, "static_simplex": 0.6}.get(
        method, 1.0
    )
    shared = np.random.default_rng([7, list(TASKS).index(task), split]).normal(0, 0.012)
    if method == "constant":
        zero = dict.fromkeys((*GAPS, "cfr@1", "sens_share@1"), 0.0)
        return {
            "acc@1": 0.7,
            "f1@1": 0.82,
            "auc@1": 0.5,
            "utility@1": 0.673,
            "final@1": 0.673,
            "brier@1": 0.3,
            "ece@1": 0.3,
            **zero,
        }
    value = {
        name: base + shift + shared - 0.02 * (1 - fair) + own.normal(0, 0.008) + rng.normal(0, 0.004)
        for name, shift in (("acc@1", 0.0), ("f1@1", -0.05), ("auc@1", 0.04))
    }
    value["utility@1"] = (value["acc@1"] + value["f1@1"] + value["auc@1"]) / 3
    scale = gap * fair * own.uniform(0.7, 1.3)
    for name, factor in zip(GAPS, (1, 0.8, 1.2, 0.9, 0.3, 0.7, 0.06, 0.5, 0.35), strict=True):
        value[name] = abs(scale * factor + rng.normal(0, 0.01) * factor)
    value |= {
        "cfr@1": abs(rng.normal(0.05, 0.02)),
        "sens_share@1": abs(rng.normal(0.08, 0.02)),
        "gpf_fae@1": rng.uniform(0, 1),
    }
    value |= {"brier@1": 0.17 + rng.normal(0, 0.005), "ece@1": 0.05 + abs(rng.normal(0, 0.01))}
    value["final@1"] = value["utility@1"] - value["fair_res@1"] - value["fair_proc@1"]
    return value


def result_rows(head, part, values):
    nan = math.nan
    for metric, estimate in values.items():
        row = {
            **head,
            "part": part,
            "metric": metric,
            "estimate": estimate,
            "null_p95": nan,
            "status": "ok",
            "reason": "",
        }
        spread = 0.02 if metric in GAPS else 0.01
        row |= {"low": max(0.0, estimate - spread), "high": estimate + spread}
        if metric in GAPS:
            row["null_p95"] = 0.03 if metric != "att_jsd@1" else 0.002
        if head["method"] == "constant" and metric in (*GAPS, "final@1"):
            row |= {"status": "degenerate", "reason": "the prediction is the same for every row"}
        if metric == "vef@1" and head["task"] == "compas:race":
            gone = {"estimate": nan, "low": nan, "high": nan, "null_p95": nan}
            row |= {**gone, "status": "not_estimable", "reason": "group 'Hispanic' has fewer than 5 rows"}
        yield row


def routing_metrics(rng, head, part):
    values = {"routing_jsd@1": abs(rng.normal(0.02, 0.01))}
    for stem in ("soft_dp", "soft_eopp"):
        routing, within = rng.normal(0.01, 0.01), rng.normal(0.05, 0.02)
        values |= {f"{stem}@1": routing + within, f"{stem}_routing@1": routing, f"{stem}_within@1": within}
    for row in result_rows(head, part, values):
        if row["metric"] == "routing_jsd@1":
            row["null_p95"] = 0.008
        yield row


def group_rows(rng, head, part, groups):
    for i, group in enumerate(groups):
        count = 150 - 40 * i
        facts = {
            "count": count,
            "positives": round(count * 0.6),
            "selection_rate": 0.6 - 0.1 * i,
            "tpr": 0.8 - 0.05 * i,
        }
        facts |= {"fpr": 0.3, "accuracy": 0.75}
        for statistic, estimate in facts.items():
            wide = {"count": 0.0, "positives": 0.0}.get(statistic, 0.06)
            yield {**head, "part": part, "group": group, "statistic": statistic, "estimate": float(estimate),
                   "low": estimate - wide, "high": estimate + wide}  # fmt: skip


def routing_rows(rng, head, part, groups):
    for group in groups:
        weight = rng.dirichlet([4, 3, 2]) if head["method"] != "uniform" else np.full(3, 1 / 3)
        for expert, w in zip(EXPERTS, weight, strict=True):
            shares = {"weight": w, "top1": float(w == weight.max()), "expert_rate": rng.uniform(0.4, 0.6)}
            yield {**head, "part": part, "group": group, "expert": expert, **shares}


def write_run(folder, tasks=tuple(TASKS), splits=5, methods=tuple(METHODS), drop=(), **suite_changes):
    """Write the tables of a made-up run without the cells in ``drop``: (task, method, split)."""
    tables = {"results": [], "groups": [], "routing": [], "provenance": []}
    for task, split, method in itertools.product(tasks, range(splits), methods):
        if (task, method, split) in drop:
            continue
        rng = np.random.default_rng([11, list(TASKS).index(task), split, list(METHODS).index(method)])
        role, family = METHODS[method]
        head = {"suite": "made-up", "task": task, "task_hash": f"{task}-hash", "protocol": "robust", "split": split,
                "split_hash": f"{split}-hash", "use_sensitive": "keep", "seed": 0, "method": method, "role": role,
                "family": family}  # fmt: skip
        for part in ("validation", "test"):
            tables["results"] += result_rows(head, part, scores(rng, task, method, split))
            tables["groups"] += group_rows(rng, head, part, TASKS[task])
            if method in MIXTURES:
                tables["routing"] += routing_rows(rng, head, part, TASKS[task])
                tables["results"] += routing_metrics(rng, head, part)
        tables["provenance"].append({
            "cell": f"{rng.integers(2**60):x}", "suite": "made-up", "task": task, "method": method,
            "use_sensitive": "keep", "split": split, "seed": 0, "mlflow_run_id": f"{rng.integers(2**62):032x}",
            "wall_s": round(float(rng.uniform(0.1, 40)), 3), "peak_mib": 512.5,
            "trainable_parameters": 0 if method == "constant" else 120, "adapter_kib": math.nan,
            "tokens_per_s": math.nan, "code_version": "0.1.0 (abc)",
            "environment_hash": "0123456789ab", "finished": "2026-01-01T00:00:00+00:00",
            "reproduce": f"fairmoe bench made-up --task {task} --splits {split + 1} --seed 0",
        })  # fmt: skip
    write_results(folder, **tables)
    suite = {
        "name": "made-up", "version": 1, "description": "Made-up numbers for the tests of the pages.",
        "tasks": [*tasks, "nba"], "protocol": "robust", "splits": splits, "seeds": 1, "seed": 0, "trials": 30,
        "batch": 15, "space": "published", "epsilon": 0.02, "folds": 5, "use_sensitive": ["keep"],
        "methods": list(methods), "budget": {}, "hash": "f" * 64, "failures": [], "tracking_error": "",
        "unavailable": [{"task": "nba", "reason": "no network, and nba.csv is not in the cache"}],
        "code_version": "0.1.0 (abc)", "environment_hash": "0123456789ab", "python": "3.11.9",
        "libraries": {"numpy": "2.4.0", "torch": "2.13.0"},
    }  # fmt: skip
    (folder / "suite.json").write_text(json.dumps(suite | suite_changes))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Six tasks, fifteen methods, five splits."""
    return write_run(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="session")
def report(run):
    from reports.summary import summarise
    from reports.table import read_results

    return summarise(read_results(run))


@pytest.fixture(scope="session", name="make_run")
def _make_run():
    """For runs of other sizes: folder, tasks, splits, methods, drop, changed entries of suite.json."""
    return write_run

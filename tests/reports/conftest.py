"""A made-up run: numbers with a known structure, for pages only. Nothing outside the tests reads it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.method import Method
from reports.methods import MethodRow, read_methods, write_methods
from reports.table import FURTHER, frame, write_csv, write_results

TASKS = {
    "german": ("female", "male"),
    "bail_clean": ("other", "white"),
    "credit": ("25 or older", "under 25"),
    "adult:sex": ("Female", "Male"),
    "compas:race": ("African-American", "Caucasian", "Hispanic"),
    "scm": ("a", "b"),
    "adult:sex@1000": ("Female", "Male"),
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
LLM_METHODS = {
    **dict.fromkeys(
        (
            "llm_mixture", "llm_gate_dense", "llm_static_simplex", "llm_uniform", "llm_best_single", "llm_bank",
            "llm_svf_search", "llm_dispatch",
        ),
        ("mixture", "mixture"),
    ),
    "llm_utility": ("utility", "llm"),
    "llm_result": ("result", "llm"),
    "llm_procedural": ("procedural", "llm"),
    "llm_result_lambda0": ("result", "llm"),
    "llm_procedural_lambda0": ("procedural", "llm"),
    **dict.fromkeys(
        (
            "llm_rslora", "llm_dora", "llm_lora_fa", "llm_ia3", "llm_svf", "llm_prefix", "llm_soft_prompt",
            "llm_base",
        ),
        ("baseline", "llm"),
    ),
    **dict.fromkeys(
        ("cross_gate_dense", "cross_static_simplex", "cross_uniform", "cross_best_single"), ("mixture", "mixture")
    ),
}  # fmt: skip
GRAPH_METHODS = {
    **dict.fromkeys(
        ("graph_gate_dense", "graph_static_simplex", "graph_uniform", "graph_best_single"), ("mixture", "mixture")
    ),
    **{
        f"{kind}_{role}": (role.removesuffix("_lambda0"), kind)
        for kind in ("gcn", "gin", "sage")
        for role in ("utility", "result", "procedural", "result_lambda0", "procedural_lambda0")
    },
    **{
        m: ("baseline", "gin" if m == "gin" else "gcn") for m in ("gcn", "gin", "nifty", "fairgnn", "edits", "fairvgnn")
    },
}
BASELINES = {
    "lightgbm": ("baseline", "gbdt"),
    "reweighing": ("baseline", "reweighing"),
    "exponentiated_gradient": ("baseline", "reduction"),
    "exponentiated_gradient_trees": ("baseline", "reduction"),
    "grid_search": ("baseline", "reduction"),
    "threshold_optimizer": ("baseline", "postprocessing"),
    "correlation_remover": ("baseline", "preprocessing"),
    "adversarial_mitigation": ("baseline", "adversarial"),
    "my_method": ("baseline", "mine"),
}
KNOWN = read_methods(Path(__file__).parent)
"""Records of all methods and members, as runs write them."""

BIAS_SETS = json.loads((Path(__file__).parent / "bias_sets.json").read_text(encoding="utf-8"))
"""Words of the language bias sets in suite.json."""

ALL_METHODS = METHODS | LLM_METHODS | GRAPH_METHODS | BASELINES
TEXT = {
    "tasks": ["german", "adult:sex@1000"], "splits": 3, "base": "nano", "dtype": "auto", "quantisation": "none",
    "device": "cpu", "template": "sentence", "start": -1, "kind": "lora", "trials": 8, "batch": 8, "kind_trials": 4,
    "budget": {}, "search": {}, "bias_items": 100, "methods": list(LLM_METHODS),
}  # fmt: skip
"""Settings of the text experts in suite.json."""

MIXTURES = [m for m, (role, _) in ALL_METHODS.items() if role == "mixture"]
EXPERTS = ("utility", "result", "procedural")
GAPS = ("dp@1", "eopp@1", "eodds@1", "fair_res@1", "ref@1", "vef@1", "att_jsd@1", "signed_att@1", "fair_proc@1")
GIVEN = ("cfr@1", "sens_share@1", "gpf_fae@1", "brier@1", "ece@1")


def scores(rng, task, method, split):
    """Metric → estimate: fair methods give up a little utility for smaller gaps."""
    level = np.random.default_rng([3, list(TASKS).index(task)])
    base, gap = level.uniform(0.68, 0.84), level.uniform(0.04, 0.18)
    own = np.random.default_rng([5, list(TASKS).index(task), list(ALL_METHODS).index(method)])
    role = method.removeprefix("llm_").removeprefix("cross_")
    fair = {"result": 0.35, "combined_mlp": 0.6, "mixture": 0.5, "gate_dense": 0.6, "static_simplex": 0.6}.get(
        role, 1.0
    )
    base -= 0.16 if method == "llm_base" else 0.04 if method.startswith("llm_") else 0.0
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


def experts_of(method):
    text = tuple(f"llm_{expert}" for expert in EXPERTS)
    if method.startswith("graph_"):
        return (*EXPERTS, *(f"gcn_{expert}" for expert in EXPERTS))
    if method == "llm_dispatch":
        return ("base", *text)
    return text if method.startswith("llm_") else EXPERTS + text if method.startswith("cross_") else EXPERTS


def template_rows(rng, head, part, values):
    """Every text expert under three templates; metrics that an occlusion pass would be too dear for are left out."""
    for metric in ("utility@1", "fair_res@1", "dp@1", "ece@1"):
        for i, template in enumerate(("list", "record", "sentence")):
            moved = values[metric] + (2 - i) * 0.01 + rng.normal(0, 0.003)
            yield {**head, "part": part, "template": template, "metric": metric, "estimate": moved}


BIAS_ROWS = {
    ("bbq", "acc_amb@1"): (0.4, ("macro", "Age", "Gender_identity")),
    ("bbq", "acc_dis@1"): (0.5, ("macro", "Age", "Gender_identity")),
    ("bbq", "s_amb@1"): (0.1, ("macro", "Age", "Gender_identity")),
    ("bbq", "s_dis@1"): (0.2, ("macro", "Age", "Gender_identity")),
    ("crows_pairs", "shared@1"): (55.0, ("all", "direction: stereo", "gender")),
    ("crows_pairs", "total_delta@1"): (2.5, ("all", "direction: stereo", "gender")),
    ("stereoset", "lms@1"): (70.0, ("all", "intrasentence", "intrasentence: race")),
    ("stereoset", "ss@1"): (54.0, ("all", "intrasentence", "intrasentence: race")),
    ("stereoset", "icat@1"): (64.0, ("all", "intrasentence", "intrasentence: race")),
    ("winobias", "gap@1"): (0.05, ("all", "type1")),
}


def bias_rows(rng, head):
    """Bias sets as the scorer gives them: the base answers no ambiguous question, and does not look at pronouns."""
    for (name, metric), (level, categories) in BIAS_ROWS.items():
        for i, category in enumerate(categories):
            scale = 100 if level > 1 else 1
            value = level + scale * rng.normal(0, 0.03)
            row = {"set": name, "metric": metric, "category": category, "items": 100 if i == 0 else 20,
                   "estimate": value, "low": value - 0.08 * scale, "high": value + 0.08 * scale,
                   "null_p95": 0.2 if metric == "gap@1" else math.nan, "status": "ok", "reason": ""}  # fmt: skip
            if metric == "s_amb@1" and head["method"] == "llm_base":
                row |= dict.fromkeys(("estimate", "low", "high"), math.nan)
                row |= {"status": "not_estimable", "reason": "none of the 50 questions is answered with a group"}
            if name == "winobias" and head["method"] == "llm_base":
                why = "answers are the same whatever the pronoun"
                row |= {"estimate": 0.0, "low": 0.0, "high": 0.0, "status": "degenerate", "reason": why}
            yield {**head, **row}


STATUS = {
    11: "rejected: fair_res@1 = 0.21 on held-out rows, allowed 0.15",
    12: "winner: The mixture kept its constraints on 125 held-out rows, after 1 candidate that did not.",
}


def front_rows(rng, head):
    """A search: anchors, a front, the best member rejected and the next one taken."""
    for member in range(14):
        alpha = rng.dirichlet([2, 1, 1])
        gap = 0.02 + 0.012 * member
        utility = 0.74 + 0.04 * (1 - math.exp(-0.3 * member)) - (0.012 if member % 3 == 1 else 0)
        found = {f"alpha.{e}": a for e, a in zip(EXPERTS, alpha, strict=True)}
        found |= {"utility@1": utility, "fair_res@1": gap}
        status = "" if member % 3 == 1 else STATUS.get(member, "front")
        for quantity, estimate in found.items():
            said = math.nan if quantity.startswith("alpha.") or not status else estimate + rng.normal(0, 0.004)
            yield {**head, "member": member, "quantity": quantity, "estimate": estimate, "surrogate": said,
                   "status": status}  # fmt: skip


def text_rows(rng, head, values, further):
    """Rows of the tables that only text experts and searched mixtures have."""
    method = head["method"]
    if head["family"] == "llm" and head["role"] != "baseline":
        further["templates"] += template_rows(rng, head, "test", values)
    if head["split"] == 0 and (head["family"] == "llm" or method in ("llm_bank", "llm_svf_search")):
        further["bias"] += bias_rows(rng, head)
    if method == "llm_svf_search":
        further["fronts"] += front_rows(rng, head)


def routing_rows(rng, head, part, groups):
    for group in groups:
        experts = experts_of(head["method"])
        k = len(experts)
        weight = np.full(k, 1 / k) if head["method"].endswith("uniform") else rng.dirichlet([4, 3, 2, 3, 2, 2][:k])
        for expert, w in zip(experts, weight, strict=True):
            shares = {"weight": w, "top1": float(w == weight.max()), "expert_rate": rng.uniform(0.4, 0.6)}
            yield {**head, "part": part, "group": group, "expert": expert, **shares}


def cells(tasks, splits, methods, text):
    """(task, split, method) of every cell: text experts on their tasks, on their splits where nothing else is there."""
    for task in dict.fromkeys([*tasks, *(text["tasks"] if text else ())]):
        own = [*methods, *(text["methods"] if text and task in text["tasks"] else ())]
        for split in range(splits if task in tasks or not text else text["splits"]):
            yield from ((task, split, method) for method in own)


def cost_row(rng, head, splits):
    """Where a cell came from; times and sizes are made up."""
    method, text = head["method"], head["method"].startswith(("llm_", "cross_"))
    return {
        "cell": f"{rng.integers(2**60):x}", "suite": "made-up", "task": head["task"], "method": method,
        "use_sensitive": "keep", "split": head["split"], "seed": 0, "mlflow_run_id": f"{rng.integers(2**62):032x}",
        "wall_s": round(float(rng.uniform(0.1, 40)), 3),
        "trainable_parameters": 0 if method == "constant" else 120,
        "adapter_kib": 0.0 if method == "llm_base" else 37.25 if text else math.nan,
        "tokens_per_s": 41234.5 if text else math.nan, "code_version": "0.1.0 (abc)",
        "environment_hash": "0123456789ab", "finished": "2026-01-01T00:00:00+00:00",
        "reproduce": f"fairmoe bench made-up --task {head['task']} --splits {splits} --seed 0", "order": "",
    }  # fmt: skip


def method(id, number=1, role="baseline", family="linear"):
    """A method of a page by the words that it has in a run; an unknown one by its id."""
    return Method(KNOWN.get(id) or MethodRow(id, id), number, role, family)


def records(methods, infos):
    """Records of the methods of a run in its order, and of the members of its mixtures."""
    own = {id: MethodRow(id, **{k: v for k, v in info.items() if k != "family"}) for id, info in infos.items()}
    known = KNOWN | own
    members = [e for m in methods if m in MIXTURES for e in experts_of(m)]
    return [
        replace(known[m], family=ALL_METHODS.get(m, ("", "llm"))[1])
        for m in dict.fromkeys([*methods, *members])
        if m in known
    ]


def write_run(folder, tasks=tuple(TASKS)[:6], splits=5, methods=tuple(METHODS), drop=(), text=None, **suite_changes):
    """Write the tables of a made-up run without the cells in ``drop``: (task, method, split); ``text``: see TEXT."""
    tables = {"results": [], "groups": [], "routing": [], "provenance": []}
    further = {"templates": [], "bias": [], "fronts": []}
    for task, split, method in cells(tasks, splits, methods, text):
        if (task, method, split) in drop:
            continue
        rng = np.random.default_rng([11, list(TASKS).index(task), split, list(ALL_METHODS).index(method)])
        role, family = ALL_METHODS[method]
        head = {"suite": "made-up", "task": task, "task_hash": f"{task}-hash", "protocol": "robust", "split": split,
                "split_hash": f"{split}-hash", "use_sensitive": "keep", "seed": 0, "method": method, "role": role,
                "family": family}  # fmt: skip
        for part in ("validation", "test"):
            values = scores(rng, task, method, split)
            tables["results"] += result_rows(head, part, values)
            tables["groups"] += group_rows(rng, head, part, TASKS[task])
            if method in MIXTURES:
                tables["routing"] += routing_rows(rng, head, part, TASKS[task])
                tables["results"] += routing_metrics(rng, head, part)
        text_rows(rng, head, values, further)
        tables["provenance"].append(cost_row(rng, head, split + 1))
    write_results(folder, **tables, further=further)
    suite = {
        "name": "made-up", "version": 1, "description": "Made-up numbers for the tests of the pages.",
        "tasks": [*tasks, "nba"], "protocol": "robust", "splits": splits, "seeds": 1, "seed": 0, "trials": 30,
        "batch": 15, "space": "published", "epsilon": 0.02, "folds": 5, "use_sensitive": ["keep"],
        "methods": list(methods), "budget": {}, "hash": "f" * 64, "failures": [], "tracking_error": "",
        "unavailable": [{"task": "nba", "reason": "no network, and nba.csv is not in the cache"}],
        "code_version": "0.1.0 (abc)", "environment_hash": "0123456789ab", "python": "3.11.9",
        "libraries": {"numpy": "2.4.0", "torch": "2.13.0"}, "llm": text, "infos": {},
    }  # fmt: skip
    suite["asked"] = asked(suite | suite_changes)
    if text:
        suite["bias_sets"] = BIAS_SETS
        suite["llm_base"] = {"id": text["base"], "hash": "ab12" * 16}
    (folder / "suite.json").write_text(json.dumps(suite | suite_changes))
    write_methods(records([*methods, *(text["methods"] if text else ())], suite_changes.get("infos", {})), folder)
    return folder


def asked(suite):
    """One record per job, as the runner writes them."""
    text = suite["llm"] or {"tasks": [], "methods": [], "splits": 0}
    known = [task for task in dict.fromkeys([*suite["tasks"], *text["tasks"]]) if task != "nba"]
    return [
        {
            "task": task, "protocol": suite["protocol"], "use_sensitive": axis, "split": split,
            "cells": {str(seed): [*suite["methods"], *(text["methods"] if task in text["tasks"] else ())]
                      for seed in range(suite["seeds"])},
        }
        for task in known
        for axis in suite["use_sensitive"]
        for split in range(suite["splits"] if task in suite["tasks"] else text["splits"])
    ]  # fmt: skip


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


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    """Three tabular tasks, two tasks with text experts and mixtures of both families, one of them on fewer rows."""
    folder = tmp_path_factory.mktemp("made-up-text")
    return write_run(folder, tasks=("german", "credit", "adult:sex"), splits=4, text=TEXT)


@pytest.fixture(scope="session")
def text_report(text_run):
    from reports.summary import summarise
    from reports.table import read_results

    return summarise(read_results(text_run))


LEVEL_METHODS = ("mixture", "result", "utility", "constant", "logistic_regression", "gradient_boosting")
LEVEL_TASKS = ("german", "scm", "adult:sex")


def write_level_run(folder):
    """Write a run of three tasks and six methods, with the tables "levels" and "trials"."""
    from tests.reports.levels.level_fixtures import made_levels, made_trials

    write_run(folder, tasks=LEVEL_TASKS, methods=LEVEL_METHODS)
    rows = made_levels(LEVEL_TASKS, LEVEL_METHODS)
    write_csv(frame(rows, FURTHER["levels"], "levels"), folder / "levels.csv")
    trials = made_trials(LEVEL_TASKS, ("result", "utility"))
    write_csv(frame(trials, FURTHER["trials"], "trials"), folder / "trials.csv")
    return folder


@pytest.fixture(scope="session")
def level_run(tmp_path_factory):
    """Three tasks, six methods, with the tables "levels" and "trials"."""
    return write_level_run(tmp_path_factory.mktemp("levels"))


@pytest.fixture(scope="session")
def level_report(level_run):
    from reports.summary import summarise
    from reports.table import read_results

    return summarise(read_results(level_run))

"""Made-up rows of the tables "levels" and "trials": numbers of a known structure, for tests only."""

import math

import numpy as np

from reports.stats.scores import TaskScores

LEVELS = {"0.01": 0.01, "0.02": 0.02, "0.05": 0.05, "0.10": 0.1, "any": math.inf, "half": 0.06, "quarter": 0.03}
METRICS = ("utility@1", "fair_res@1", "limit")


def scenario(name, methods=(), splits=5, source=""):
    """A task of a report that has no numbers but those of the table "levels"."""
    return TaskScores(
        name=name, task=name, protocol="robust", use_sensitive="keep", source=source or name,
        splits=tuple(range(splits)), methods=tuple(methods), test={}, validation={}, values={}, validation_values={},
        cost={},
    )  # fmt: skip


def head(task, method, split):
    return {
        "suite": "made-up", "task": task, "task_hash": f"{task}-hash", "protocol": "robust", "split": split,
        "split_hash": f"{split}-hash", "use_sensitive": "keep", "seed": 0, "method": method, "role": "baseline",
        "family": "mlp",
    }  # fmt: skip


def level_rows(
    task,
    method,
    split,
    variant,
    level,
    utility,
    gap=0.0,
    validation=None,
    status="ok",
    limit=None,
    bounded="fair_res@1",
    procedural="",
    more=None,
):
    """Rows of one contender at one level of one split; ``more``: metric → (test, rows that chose)."""
    limit = LEVELS[level] if limit is None else limit
    values = {
        "utility@1": (utility, utility if validation is None else validation),
        bounded: (gap, min(gap, limit)),
        "limit": (limit, limit),
        **(more or {}),
    }
    facts = {"variant": variant, "gap": bounded, "level": level, "procedural": procedural, "status": status}
    facts["trial"] = "3" if variant == "plain" and status == "ok" else ""
    return [
        {**head(task, method, split), **facts, "metric": m, "estimate": e, "validation": v}
        for m, (e, v) in values.items()
    ]


def made_levels(tasks, methods, splits=5):
    """Every method loses utility with the allowed gap, thresholds lose less; the constant predictor is imputed."""
    rows = []
    for t, task in enumerate(tasks):
        for split in range(splits):
            shared = np.random.default_rng([1, t, split]).normal(0, 0.01)
            for m, method in enumerate(methods):
                rng = np.random.default_rng([2, t, split, m])
                for variant in ("plain", "thresholds"):
                    for level, limit in LEVELS.items():
                        room = min(limit, 0.1)
                        imputed = method == "constant" or (variant == "plain" and limit < 0.015 and m % 3 == 0)
                        loss = (0.2 if variant == "plain" else 0.12) * (0.1 - room) / 0.1
                        utility = 0.5 if imputed else 0.75 - 0.002 * m + shared - loss + rng.normal(0, 0.004)
                        rows += level_rows(
                            task, method, split, variant, level, utility,
                            0.0 if imputed else abs(room + rng.normal(-0.005, 0.02)),
                            status="imputed" if imputed else "ok",
                        )  # fmt: skip
    return rows


def made_trials(tasks, methods, splits=5, trials=12):
    """Trials of every method: the first failed, the second constant."""
    rows = []
    for t, task in enumerate(tasks):
        for split in range(splits):
            for m, method in enumerate(methods):
                rng = np.random.default_rng([3, t, split, m])
                for trial in range(trials):
                    state = ("failed", "constant")[trial] if trial < 2 else "ok"
                    true = rng.normal(0.7, 0.03)
                    values = {
                        "utility_validation": true + rng.normal(0, 0.01), "fair_res_validation": 0.1,
                        "utility_test": true, "fair_res_test": 0.1,
                    }  # fmt: skip
                    if state == "failed":
                        values = dict.fromkeys(values, math.nan)
                    own = {"trial": trial, "params": f'{{"width": {trial}}}', "state": state}
                    rows.append({**head(task, method, split), **own, **values})
    return rows


WOBBLE = np.array([0.0, 0.001, -0.001, 0.002, -0.002])


def three_rows(mixture, boosting, validation=0.7, status="ok"):
    """A mixture and thresholded boosted trees on five splits of one task, at one level."""
    rows = []
    for split in range(5):
        rows += level_rows("german", "mixture", split, "plain", "0.05", mixture[split], 0.04, validation, status)
        rows += level_rows("german", "gradient_boosting", split, "thresholds", "0.05", boosting[split], 0.06, 0.6)
    return rows

"""A made-up discovery with a known structure: ten domains, three experts, every key of the result files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

FOLDERS = {
    "capability": "1_capability", "plan": "2_plan", "data": "3_data", "training": "4_training", "search": "5_search",
    "examination": "6_examination", "preserve": "7_preserve", "gates": "8_gates",
}  # fmt: skip
DOMAINS = {
    "arithmetic": (0.10, 0.25), "json-task": (0.34, 0.33), "sql": (0.56, 0.36), "strings": (0.44, 0.40),
    "dates": (0.06, 0.14), "lookup": (0.49, 0.47), "classification": (0.44, 0.50), "german": (0.29, 0.50),
    "compas-race": (0.51, 0.50), "adult-sex": (0.66, 0.50),
}  # fmt: skip
EXPERTS = {
    "numbers": ("arithmetic", "dates"),
    "formats": ("json-task", "sql", "strings", "lookup"),
    "tables": ("classification", "german", "compas-race", "adult-sex"),
}
GAIN = {
    "arithmetic": 0.31, "dates": 0.42, "json-task": 0.18, "sql": 0.22, "strings": 0.03, "lookup": 0.07,
    "classification": 0.55, "german": 0.41, "compas-race": 0.02, "adult-sex": 0.12,
}  # fmt: skip
WINNER = {"numbers": 0.91, "formats": 0.72, "tables": 0.98}
"""Weights."""
CHECKS = ("difficulty", "answer", "clarity", "alignment", "contamination")


def wilson(share: float, n: int) -> tuple[float, float]:
    """Interval of a share."""
    z = 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return round((middle - half) / (1 + z * z / n), 4), round((middle + half) / (1 + z * z / n), 4)


def span(value: float, half: float, **more: float) -> dict[str, float]:
    """An estimate with its interval."""
    return {"estimate": round(value, 4), "low": round(value - half, 4), "high": round(value + half, 4), **more}


def sample() -> dict[str, dict[str, Any]]:
    """Name of a step → its result; "top" is ``discovery.json``."""
    rng = np.random.default_rng(16)
    return {
        "top": _top(), "capability": _capability(rng), "plan": _plan(rng), "data": _data(rng),
        "training": _training(rng), "search": _search(rng), "examination": _examination(rng),
        "preserve": _preserve(), "gates": _gates(),
    }  # fmt: skip


def write(folder: Path, results: dict[str, dict[str, Any]]) -> Path:
    """Write the result files that are given."""
    for name, result in results.items():
        path = folder / "discovery.json" if name == "top" else folder / FOLDERS[name] / "result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    return folder


def _top() -> dict[str, Any]:
    seconds = (74.0, 21.5, 46.2, 512.8, 188.0, 61.3, 22.4, 0.4)
    steps = [
        {"name": name, "state": "done", "seconds": took, "inputs_hash": f"{i:064x}"}
        for i, (name, took) in enumerate(zip(FOLDERS.values(), seconds, strict=True))
    ]
    return {
        "settings": {"base": "nano", "seed": 0, "items": 100, "training": {"floor": 0.6}},
        "settings_hash": "5e" * 32,
        "base": {"id": "nano", "hash": "ab" * 32, "parameters": 1_066_000},
        "code": "1.16.0",
        "steps": steps,
        "package": "first.expert",
        "page": "discovery.html",
    }


def _capability(rng: np.random.Generator) -> dict[str, Any]:
    rows = []
    for name, (share, chance) in DOMAINS.items():
        low, high = wilson(share, 100)
        opinion = round(float(np.clip(0.7 + rng.normal(0, 0.12), 0, 1)), 3)
        rows.append({
            "name": name, "family": name.split("-")[0], "difficulty": 0.0, "n": 100, "right": round(100 * share),
            "share": share, "low": low, "high": high, "p_mean": round(share * 0.9 + 0.05, 4), "chance": chance,
            "brier": 0.21, "opinion_yes": round(0.5 * share + 0.1, 4),
            "opinion": opinion if name != "lookup" else None,
            "opinion_text": f"About {100 * opinion:.0f} of 100." if name != "lookup" else "I am not sure <what>.",
        })  # fmt: skip
    return {
        "base": _top()["base"], "how": "choice", "domains": rows,
        "opinion": {"asked": 10, "read": 9, "brier": 0.171, "error": 0.29, "tau": 0.11,
                    "yes_brier": 0.25, "yes_error": 0.22,
                    "yes_tau": -0.1}, "seconds": 74.0,
    }  # fmt: skip


def _plan(rng: np.random.Generator) -> dict[str, Any]:
    names, owner = list(DOMAINS), {d: e for e, ds in EXPERTS.items() for d in ds}
    noise = rng.normal(0, 0.05, (len(names), len(names)))
    similarity = [
        [
            1.0
            if a == b
            else round(float((0.55 if owner[a] == owner[b] else 0.02) + (noise[i, j] + noise[j, i]) / 2), 4)
            for j, b in enumerate(names)
        ]
        for i, a in enumerate(names)
    ]  # fmt: skip
    stability = [
        {
            "experts": n, "stability": round(0.94 - 0.09 * (n - 3), 3), "low": round(0.88 - 0.1 * (n - 3), 3),
            "high": round(min(0.99 - 0.08 * (n - 3), 1), 3), "silhouette": round(0.52 - 0.06 * (n - 3), 3),
        }
        for n in range(3, 11)
    ]  # fmt: skip
    return {
        "experts": [
            {"name": n, "domains": list(ds), "target": 0.6, "reason": "Their gradients point the same way."}
            for n, ds in EXPERTS.items()
        ],
        "chosen": 3, "asked": None, "evidence": "gradients", "domains": names, "similarity": similarity,
        "p": 0.03, "reliability": [0.9] * len(names),
        "stability": stability, "left_out": [{"domain": "weekdays", "reason": "mastered: 0.99 [0.96, 1.00]"}],
        "advice": {"experts": 4, "agreement": 0.21, "followed": False},
        "reason": "The partition into 3 is the most stable one.", "seconds": 21.5,
    }  # fmt: skip


def _data(rng: np.random.Generator) -> dict[str, Any]:
    experts = []
    for i, (name, domains) in enumerate(EXPERTS.items()):
        accepted, drafts = 400, (452, 601, 690)[i]
        shares = dict(zip(CHECKS, rng.dirichlet([4, 1, 1, 2, 0.5]) * (1 - accepted / drafts), strict=True))
        experts.append({
            "name": name, "provider": "template", "drafts": drafts, "accepted": accepted,
            "rejected": drafts - accepted, "acceptance": round(accepted / drafts, 4), "variants": i,
            "acceptance_low": wilson(accepted / drafts, drafts)[0], "filled": 10 * i,
            "acceptance_high": wilson(accepted / drafts, drafts)[1],
            "said": ["10 items fill up whose difficulty is not as asked for."] * (i == 1),
            "zone": {"mean": (0.74, 0.71, 0.64)[i], "low": 0.55, "high": 0.9, "inside": i < 2},
            "checks": {c: {"failed": round(s * drafts), "share": round(float(s), 4)} for c, s in shares.items()},
            "topics": [
                {"name": d, "difficulty": 0.1 * k, "drafts": drafts // len(domains), "accepted": 400 // len(domains)}
                for k, d in enumerate(domains)
            ],
            "dollars": 0.0, "seconds": 15.0, "items_a_minute": 2400.0,
        })  # fmt: skip
    return {"experts": experts, "seconds": 46.2}


def _training(rng: np.random.Generator) -> dict[str, Any]:
    experts = []
    for i, name in enumerate(EXPERTS):
        curve = []
        for epoch in range(9):
            share = 0.25 + (0.55, 0.3, 0.4)[i] * (1 - math.exp(-epoch / 2.5)) + float(rng.normal(0, 0.012))
            low, high = wilson(min(share, 0.97), 120)
            curve.append({
                "epoch": epoch, "step": 25 * epoch,
                "loss": None if epoch == 0 else round(1.4 * math.exp(-epoch / 4), 4),
                "accuracy": round(share, 4), "low": low, "high": high,
                "alignment": round(0.97 - 0.02 * epoch * (1 + i) + float(rng.normal(0, 0.01)), 4),
                "zone": round(0.5 + 0.03 * epoch, 4), "drift": round(0.015 * epoch * (1 + i), 4),
                "beta": round(0.02 * 1.5 ** min(epoch * i, 4), 5),
            })  # fmt: skip
        experts.append({
            "name": name, "kind": "lora", "target": (0.6, 0.62, 0.6)[i],
            "reached": curve[-1]["accuracy"] >= 0.6, "best_step": (200, 150, 175)[i], "steps": 200,
            "stopped": "" if i < 2 else "alignment below the floor at step 200", "restarts": i // 2, "given_up": i == 2,
            "parameters": 24576, "curve": curve,
        })  # fmt: skip
    return {"experts": experts, "seconds": 512.8}


def _search(rng: np.random.Generator) -> dict[str, Any]:
    names, candidates = list(EXPERTS), []
    fixed = [("base", "reference", [0.0] * 3)]
    fixed += [("single", "reference", [float(i == j) for j in range(3)]) for i in range(3)]
    fixed += [("uniform", "reference", [1 / 3] * 3)]
    drawn = [("mixture", "front" if k % 2 else "anchor", [float(v) for v in rng.uniform(0, 1.2, 3)]) for k in range(26)]
    drawn += [("mixture", "front", list(WINNER.values()))]
    for kind, origin, weights in fixed + drawn:
        accuracy = 0.39 + 0.09 * sum(min(w, 1.0) for w in weights) - 0.02 * max(sum(weights) - 2.6, 0)
        alignment = 0.97 - 0.09 * sum(weights) + float(rng.normal(0, 0.01))
        values = {"accuracy": round(accuracy + float(rng.normal(0, 0.008)), 4), "alignment": round(alignment, 4)}
        values |= {"lowest": 0.01, "zone": 0.6, "p_right": round(accuracy - 0.03, 4), "latency_ms": 21.0}
        candidates.append({
            "alphas": dict(zip(names, (round(w, 4) for w in weights), strict=True)), "kind": kind, "origin": origin,
            "feasible": alignment >= 0.72, "on_front": False, "values": values,
        })  # fmt: skip
    for one in candidates:
        mine = one["values"]
        one["on_front"] = one["feasible"] and not any(
            o["feasible"] and o is not one and o["values"]["accuracy"] >= mine["accuracy"]
            and o["values"]["alignment"] >= mine["alignment"] for o in candidates
        )  # fmt: skip
    curve = [
        {"round": r, "generation": g, "hypervolume": round(0.2 + 0.1 * (1 - math.exp(-(g + 50 * (r - 1)) / 25)), 5),
         "evaluations": 50 * g} for r in (1, 2) for g in range(1, 51)
    ]  # fmt: skip
    guidance = [
        {"round": r, "generation": g, "status": s, "volume_rule": 0.25 + 0.001 * g, "volume_advice": v,
         "tau_rule": 0.3, "tau_advice": 0.2, "rule": {"numbers": [0.4, 1.1]}, "advice": {"numbers": [0.6, 1.2]}}
        for r, g, s, v in ((1, 10, "rule", None), (1, 20, "followed", 0.281), (1, 30, "beaten", 0.272),
                           (1, 40, "malformed", None), (2, 10, "followed", 0.265), (2, 20, "beaten", 0.26))
    ]  # fmt: skip
    return {
        "experts": names, "objectives": ["maximise accuracy", "maximise alignment"],
        "constraints": ["alignment >= 0.72"],
        "candidates": candidates, "curve": curve, "guidance": guidance,
        "advice": {"asked": 5, "malformed": 1, "followed": 2, "helped": 2, "gain": 0.004, "tau_rule": 0.3,
                   "tau_advice": 0.2},
        "passes": 31, "surrogate_evaluations": 5000, "seconds": 188.0,
    }  # fmt: skip


def _examination(rng: np.random.Generator) -> dict[str, Any]:
    names = list(EXPERTS)
    shape = {
        "mixture 1": ("mixture", WINNER, 0.598, ()),
        "mixture 2": ("mixture", {"numbers": 1.1, "formats": 1.1, "tables": 1.15}, 0.611, ("alignment 0.68 < 0.72",)),
        **{
            n: ("single", {m: float(m == n) for m in names}, s, ())
            for n, s in zip(names, (0.451, 0.452, 0.49), strict=True)
        },
        "uniform": ("uniform", dict.fromkeys(names, 0.3333), 0.505, ()),
        "base": ("base", dict.fromkeys(names, 0.0), 0.389, ()),
    }
    contenders = []
    for label, (kind, alphas, value, objections) in shape.items():
        values = {"accuracy": span(value, 0.043), "alignment": span(0.95 - 0.07 * sum(alphas.values()), 0.03)}
        values |= {"lowest": span(-0.02, 0.06), "zone": span(0.58, 0.02), "p_right": span(value - 0.03, 0.02)}
        values |= {"latency_ms": {"estimate": 21.0, "low": None, "high": None}}
        values |= {
            f"accuracy:{d}": span(
                min(DOMAINS[d][0] + GAIN[d] * min(sum(alphas[e] for e in names if d in EXPERTS[e]), 1), 1), 0.12
            )
            for d in DOMAINS
        }
        contenders.append({"label": label, "kind": kind, "alphas": alphas, "values": values,
                           "objections": list(objections), "tried": kind == "mixture",
                           "accepted": label == "mixture 1"})  # fmt: skip
    paired = [
        {"label": "mixture 1", "rival": rival, "difference": difference, "low": difference - 0.04,
         "high": difference + 0.04, "p": 0.001 if difference > 0.05 else 0.4, "p_holm": 0.005}
        for rival, difference in (("numbers", 0.147), ("formats", 0.146), ("tables", 0.108), ("uniform", 0.093),
                                  ("base", 0.209))
    ]  # fmt: skip
    domains = []
    for d, (share, _) in DOMAINS.items():
        expert = next(e for e in names if d in EXPERTS[e])
        single, winner = min(share + GAIN[d], 1), min(share + 0.85 * GAIN[d] - 0.03, 1)
        domains.append({
            "domain": d, "expert": expert, "base": span(share, 0.13), "single": span(single, 0.13),
            "winner": span(winner, 0.13), "gain": span(
                GAIN[d], 0.11, p=0.001 if GAIN[d] > 0.1 else 0.5, p_holm=0.01 if GAIN[d] > 0.15 else 1.0,
            ),
            "winner_gain": span(winner - share, 0.11, p=0.01, p_holm=0.1),
        })  # fmt: skip
    domains[3]["winner_gain"] = span(-0.12, 0.08, p=0.004)
    elsewhere = [
        {"expert": e, "domain": d, **span(-0.05 if d == "strings" else 0.01, 0.04, p=0.2, p_holm=1.0)}
        for e in names for d in DOMAINS if d not in EXPERTS[e]
    ]  # fmt: skip
    return {"scenarios": 500, "elsewhere": elsewhere, "rule": "Stated beforehand: 5 points.", "constraints": [],
            "statement": "Accepted.",
            "contenders": contenders, "winner": "mixture 1", "accepted": True, "paired": paired,
            "domains": domains, "seconds": 61.3}  # fmt: skip


def _preserve() -> dict[str, Any]:
    rows = [
        ("tool-calls", "format", 60, 0.42, 0.41, 0.04, True), ("persona", "choice", 60, 0.55, 0.50, 0.05, False),
        ("texts", "likelihood", 200, -3.44, -3.46, 0.012, True),
    ]  # fmt: skip
    return {"tasks": [
        {"name": name, "kind": kind, "n": n, "before": before, "after": after, "difference": round(after - before, 4),
         "low": round(after - before - half, 4), "high": round(after - before + half, 4), "margin": 0.05,
         "preserved": kept}
        for name, kind, n, before, after, half, kept in rows
    ], "seconds": 22.4}  # fmt: skip


def _gates() -> dict[str, Any]:
    gates = [
        {"id": "expert_count", "label": "3 to 10 experts", "stage": "plan", "value": [3.0], "relation": "within",
         "bound": [3, 10], "passed": True, "reason": "", "note": "By evidence, not by asking."},
        {"id": "domains", "label": "Domains in the capability report", "stage": "capability", "value": 10.0,
         "relation": ">=", "bound": 8.0, "passed": True, "reason": ""},
        {"id": "own_domain", "label": "Every expert reaches .85 on its domains", "stage": "training", "value": 0.61,
         "relation": ">=", "bound": 0.85, "passed": False, "reason": "0.61 is below 0.85"},
        {"id": "vram", "label": "Memory of the GPU", "stage": "examination", "value": None, "relation": "<=",
         "bound": 2.0, "passed": None, "reason": "there is no GPU"},
    ]  # fmt: skip
    return {"gates": gates, "passed": 2, "failed": 1, "unmeasured": 1}

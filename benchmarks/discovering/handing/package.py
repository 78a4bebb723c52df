"""What a discovery hands on: a folder of the mixture's adapter, its experts and their weights; and its package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefacts.packing.mixture_folder import EXPERTS, MIXTURE, PARTS
from artefacts.packing.source import README
from benchmarks.discovering.handing.library import experts_of
from benchmarks.discovering.handing.rounding import rounding_of
from benchmarks.discovering.run import Discovered
from benchmarks.discovering.winner import weights_of, winner_of
from foundation.escaping import one_line
from foundation.files import atomic_path, write_json, write_text
from foundation.numbers import GIB, finite

if TYPE_CHECKING:
    from artefacts.packing.pack import Packed
    from artefacts.trust.keys import PrivateKey
    from llm_experts.bases.base import Base
    from llm_experts.decoder.program import Adapter

FOLDER, VERSION = "mixture", "1.0.0"
MEGABYTE = 2**20
SPEC_NAMES = {
    "overall_accuracy": "accuracy", "eudaimonia_score": "alignment", "edge_of_chaos": "zone",
    "latency_ms": "latency_ms",
}  # fmt: skip
"""Figures of the hand-off by the names of its specification, and where the examination has them."""
KEPT_NAMES = {"tool_use_rate": "tools", "persona_consistency": "persona"}
"""The same for what was to be preserved."""


@dataclass(frozen=True)
class Named:
    """What people are told of a package: name, author, and who signs it."""

    name: str = ""
    author: str = "unnamed"
    key: PrivateKey | None = None


def hand_on(found: Discovered, named: Named) -> Packed:
    """Write the mixture's folder and pack it; the same discovery gives the same bytes, wherever and whenever.

    Parameters
    ----------
    found : Discovered
        With all steps done.
    named : Named

    Raises
    ------
    PackageError, AdapterError
        If an expert's file was changed since, or the package there has other content.
    """
    from artefacts.format.error import PackageError
    from artefacts.packing.pack import package
    from artefacts.packing.told import Told

    base = found.on_demand.base
    write_folder(found, base, found.folder / FOLDER)
    told = json.loads((found.folder / FOLDER / MIXTURE).read_text(encoding="utf-8"))
    target = found.folder / f"{named.name or f'discovered-{_word(base.id)}'}-{VERSION}.expert"
    say = Told(
        name=named.name, version=VERSION, author=named.author, description=_description(told),
        further={"capabilities": _capabilities(found)},
    )  # fmt: skip
    try:
        packed = package(found.folder / FOLDER, target, say)  # of the same content it stays, with all signatures
    except PackageError as error:
        if error.reason != "exists":
            raise
        target.unlink()  # of this discovery as it was; the record says which one it is now
        packed = package(found.folder / FOLDER, target, say)
    if named.key is not None:
        from artefacts.trust.signature import sign

        sign(packed.path, named.key)
    return packed


def write_folder(found: Discovered, base: Base, folder: Path) -> None:
    """The folder that is packed: see :mod:`artefacts.packing.mixture_folder`."""
    import torch

    from llm_experts.adapters.store import save_adapter
    from llm_experts.mixtures.item_mixtures import mixed

    experts = experts_of(found.folder, found.results)
    names, weights = list(experts), weights_of(found.results)
    mixture = mixed([adapter for adapter, _ in experts.values()], torch.tensor(weights, dtype=torch.float64))
    with atomic_path(folder) as made:
        save_adapter(made, base, mixture.config, mixture.state, {"mixture": dict(zip(names, weights, strict=True))})
        for name, (_, place) in experts.items():
            (made / EXPERTS / name).mkdir(parents=True)
            for part in PARTS:
                shutil.copyfile(place / part, made / EXPERTS / name / part)
        told = mixture_facts(found, base, {name: adapter for name, (adapter, _) in experts.items()}, weights)
        write_json(made / MIXTURE, finite(told))
        write_text(made / README, card(found, told))


def mixture_facts(
    found: Discovered, base: Base, experts: Mapping[str, Adapter], weights: Sequence[float]
) -> dict[str, Any]:
    """``mixture.json``: the hand-off by the names of its specification, and all figures with their intervals."""
    results, settings = found.results, found.settings
    examined, values = results["6_examination"], dict(winner_of(results)["values"])
    kept = {task["name"]: task for task in results["7_preserve"].get("tasks", ())}
    parameters = sum(adapter.parameter_count for adapter in experts.values())
    whole = sum(weight.numel() for weight in base.model.parameters())
    return {
        "model": base.id,
        "base": {"id": base.id, "hash": base.hash, "quantisation": base.quantisation},
        "quantization": str(base.model.dtype).removeprefix("torch.") if base.quantisation == "none"
        else base.quantisation,
        "size_mb": round(base_bytes(base) / MEGABYTE, 3),
        "experts": list(experts),
        "expert_library": {name: f"{EXPERTS}/{name}/{PARTS[1]}" for name in experts},
        "optimal_mixture": list(weights),
        "num_experts_determined_by_model": len(experts),
        "num_experts_determined_by": "the command" if settings.experts else str(results["2_plan"].get("evidence")),
        "performance": {
            **{name: _estimate(values.get(ours)) for name, ours in SPEC_NAMES.items()},
            **{name: kept[ours]["after"] if ours in kept else None for name, ours in KEPT_NAMES.items()},
            "vram_gb": round((base_bytes(base) + sum(a.bytes for a in experts.values())) / GIB, 6),
        },
        "compression_notes": {
            "z_vectors_are_1d": settings.kind == "svf", "total_expert_params": parameters, "base_model_params": whole,
            "adaptation_overhead_percent": round(100 * parameters / whole, 4),
            "rounded": rounding_of(found),
            "note": "Bytes of weights; latency is of a fixed nominal processor. Null was not measured.",
        },
        "winner": examined["winner"],
        "accepted": bool(examined["accepted"]),
        "figures": {name: value for name, value in values.items() if isinstance(value, Mapping)},
        "scenarios": int(examined["scenarios"]),
        "decoding": {"max_new_tokens": max(d.judge.longest_answer for d in found.domains), "temperature": 0.0},
        "seed": settings.seed,
        "settings_hash": str(results["7_preserve"]["inputs_hash"]),
    }  # fmt: skip


def base_bytes(base: Base) -> int:
    """Bytes of a base's weights as they are held."""
    return sum(weight.numel() * weight.element_size() for weight in base.model.parameters())


def card(found: Discovered, told: Mapping[str, Any]) -> str:
    """The card of a mixture: what it is of, what it was measured to do, and what not."""
    rows = [
        f"| {one_line(row['domain'])} | {one_line(str(row['expert']))} | {_shown(row['base'])} "
        f"| {_shown(row['winner'])} | {_shown(row['winner_gain'])} |"
        for row in found.results["6_examination"]["domains"]
    ]
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in
                        zip(told["experts"], told["optimal_mixture"], strict=True))  # fmt: skip
    verdict = (
        "The final examination accepted this mixture." if told["accepted"]
        else "The final examination accepted no mixture: the adapter that is asked by this package's name is the best "
        "that was left, and the experts lie beside it."
    )  # fmt: skip
    lines = [
        f"# A mixture of {len(told['experts'])} experts of {one_line(told['model'])}", "",
        f"Weights: {weights}. {verdict}", "",
        f"Measured on {told['scenarios']} scenarios that no step of the discovery saw before (shares that are right, "
        "with intervals of 95 %):", "",
        "| domain | expert | base | mixture | gain |", "|---|---|---|---|---|", *rows,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _description(told: Mapping[str, Any]) -> str:
    if not any(told["optimal_mixture"]):
        return f"{len(told['experts'])} discovered experts of {told['model']}; no mixture of them was accepted."
    used = sum(weight != 0 for weight in told["optimal_mixture"])
    return f"A mixture of {used} of {len(told['experts'])} discovered experts of {told['model']}."


def _capabilities(found: Discovered) -> list[str]:
    named = {name for one in found.results["2_plan"]["experts"] for name in one["domains"]}
    return [f"domain:{name}" for name in sorted(named)]


def _estimate(value: Any) -> Any:
    return value.get("estimate") if isinstance(value, Mapping) else value


def _shown(value: Any) -> str:
    if not isinstance(value, Mapping) or value.get("estimate") is None:
        return "not measured"
    low, high = value.get("low"), value.get("high")
    interval = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    return f"{value['estimate']:.2f}{interval}"


def _word(text: str) -> str:
    from artefacts.packing.told import name_of

    return name_of(Path(text).name)

"""``python -m benchmarks.making.matrix``: which combinations train, as docs/making_experts.md has the table."""

from __future__ import annotations

from collections.abc import Iterator

DTYPES = ("float32", "bfloat16", "float16")
QUANTISATIONS = ("none", "nf4", "int8", "ternary")


def table() -> str:
    """Two Markdown tables: dtype and quantisation by device, for every kind and method alike; kinds by what differs."""
    return "\n".join([*_devices(), "", *_kinds(), "", *_methods()])


def _devices() -> Iterator[str]:
    from llm_experts.training.loop.combinations import Combination, refusal

    yield "| dtype | quantisation | CPU | GPU |"
    yield "|---|---|---|---|"
    for dtype in DTYPES:
        for quantisation in QUANTISATIONS:
            cells = [
                _word(refusal(Combination(dtype=dtype, quantisation=quantisation, device=device, has_gpu=True)))
                for device in ("cpu", "cuda")
            ]
            yield f"| {dtype} | {quantisation} | {' | '.join(cells)} |"


def _kinds() -> Iterator[str]:
    from llm_experts.adapters.registry import KINDS
    from llm_experts.training.loop.combinations import Combination, refusal

    yield "| kind | `start` above 0 | packing | 8-bit optimiser | weight decay by TRL | dropout |"
    yield "|---|---|---|---|---|---|"
    for kind in KINDS:
        cells = [
            refusal(Combination(kind=kind, start=1)),
            refusal(Combination(kind=kind, packing=True)),
            refusal(Combination(kind=kind, optimiser="adamw_8bit")),
            refusal(Combination(kind=kind, engine="trl", weight_decay=0.01)),
            refusal(Combination(kind=kind, adapter_options={"dropout": 0.1})),
        ]
        yield f"| {kind} | {' | '.join(map(_word, cells))} |"


def _methods() -> Iterator[str]:
    from benchmarks.making.methods import trainer, trainer_names
    from llm_experts.training.loop.combinations import Combination, refusal

    yield "| method | items | packing |"
    yield "|---|---|---|"
    for name in trainer_names():
        packing = _word(refusal(Combination(method=name, packing=True)))
        yield f"| {name} | {trainer(name).needs} | {packing} |"


def _word(refused: str) -> str:
    return "refused" if refused else "trains"


if __name__ == "__main__":
    print(table())

"""``fairmoe llm dequantize``: a base whose weights are codes as one of float32 weights, and what rounding costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.loading import adapters_of, load, texts_of
from benchmarks.commands.llm.options import Device, Dtype, Quantisation, command
from benchmarks.commands.llm.showing import print_facts
from benchmarks.commands.options import Seed
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from llm_experts.bases.agreement import Agreement, Estimate
    from llm_experts.bases.base import Base
    from llm_experts.discovery.measuring.domain import Scenario
    from llm_experts.discovery.requantising.requantised import Paired, Requantised, Right

FAMILIES = ("arithmetic", "strings", "sql", "lookup")
"""Families on whose items an expert is measured before and after its weights are rounded, unless others are named."""


def dequantize(
    base: Annotated[str, typer.Argument(help="nano, a Hugging Face id, a folder (ternary and BitNet too), or .gguf.")],
    output: Annotated[Path | None, typer.Option(help="New folder of float32 weights.")] = None,
    quantisation: Quantisation = "none",
    dtype: Dtype = "float32",
    device: Device = "auto",
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the quantised base first; below 99 % nothing is written.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="The base before it was quantised: says what quantising has cost.")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="A file of texts to compare on, one a line.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write also what the check refuses.")] = False,
    requantize: Annotated[
        str | None, typer.Option(help="Round the float32 weights again (ternary, nf4, int8); says what it costs.")
    ] = None,
    expert: Annotated[
        Path | None, typer.Option(help="Folder of an expert on this base: added to the weights that are rounded.")
    ] = None,
    family: Annotated[
        list[str] | None, typer.Option(help="Families whose items measure the expert (repeatable).")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Items of each family.")] = 50,
    codes: Annotated[
        Path | None, typer.Option(help="New folder for the rounded weights; with --requantize ternary.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write a quantised base as float32 weights, which singular values and merging need; what rounding costs is told.

    Codes stand for exactly one matrix each, so that nothing is lost. With --check predictions on texts are compared;
    below 99 % of equal likeliest tokens the exit code is 1 and nothing is written. --reference and --requantize only
    inform.

    Examples: fairmoe llm dequantize model.gguf --output plain --check · fairmoe llm dequantize nano --quantisation
    nf4 --output plain --check --reference nano · fairmoe llm dequantize plain --requantize ternary --expert
    results/experts/sums-sft-svf
    """
    console = plain_console()
    _check_options(output, check, reference, requantize, expert, codes)
    told = None if texts is None else texts_of(texts)
    loaded = load(base, dtype, quantisation, device, console)
    plain = _plain(loaded, base, output)
    found = _compared(loaded, plain, reference, told, check, device, seed, console)
    if check and not found["quantised"].enough and not force:
        console.print(
            styled("no:", "bold red", " less than 99 % of the likeliest tokens are equal; nothing was written. Load ")
            + "the base with --dtype float32, or add --force.",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    if output is not None:
        _write(plain, output, _origin(base, loaded, found), base, loaded, console)
    if requantize is not None:
        _rounded(loaded, plain, requantize, expert, family or FAMILIES, count, told, codes, seed, console)
    following = command("base", base=str(output or codes or base))
    console.print(f"Next: {following}", soft_wrap=True, highlight=False, markup=False)


def _check_options(
    output: Path | None,
    check: bool,
    reference: str | None,
    requantize: str | None,
    expert: Path | None,
    codes: Path | None,
) -> None:
    if output is None and requantize is None and not check and reference is None:
        raise typer.BadParameter("Give --output FOLDER; or --check, --reference or --requantize, which write nothing.")
    if (expert or codes) and requantize is None:
        raise typer.BadParameter("--expert and --codes belong to --requantize ternary|nf4|int8.")
    if codes is not None and requantize != "ternary":
        raise typer.BadParameter("Only ternary codes have files of their own: --codes goes with --requantize ternary.")
    if output is not None and codes is not None and output.resolve() == codes.resolve():
        raise typer.BadParameter("--output and --codes would overwrite each other: give one folder each.")
    for folder in (output, codes):
        if folder is None:
            continue
        if taken := next((place for place in folder.parents if place.exists() and not place.is_dir()), None):
            raise typer.BadParameter(f"{folder} cannot be made: {taken} is no folder.")
        if folder.exists():
            raise typer.BadParameter(f"{folder} exists already; give a folder that does not.")


def _plain(loaded: Base, name: str, output: Path | None) -> Base:
    """The base with float32 weights; one that has nothing else is refused where it would only be copied."""
    from llm_experts.bases.dequantised import dequantised
    from llm_experts.bases.identify import is_gguf
    from llm_experts.bases.quantised import holds_codes

    if holds_codes(loaded.model) or is_gguf(Path(name).expanduser()):
        return dequantised(loaded)
    if output is not None:
        raise typer.BadParameter(
            f"The weights of {name} are no codes; say with --quantisation nf4, int8 or ternary how they are rounded "
            "first, or leave --output out."
        )
    return loaded


def _compared(
    loaded: Base,
    plain: Base,
    reference: str | None,
    texts: Sequence[str] | None,
    check: bool,
    device: str,
    seed: int,
    console: Console,
) -> dict[str, Agreement]:
    """Agreement with the quantised base and with the original, as far as they were asked for."""
    from llm_experts.bases.agreement import TEXTS, agreement

    said, found = texts or TEXTS, {}
    if check:
        found["quantised"] = agreement(loaded, plain, said, seed=seed)
        _print("dequantised against quantised", found["quantised"], console)
    if reference is not None:
        found["reference"] = agreement(load(reference, "float32", "none", device, console), plain, said, seed=seed)
        _print(f"what quantising cost: against {reference}", found["reference"], console)
    return found


def _print(title: str, found: Agreement, console: Console) -> None:
    facts = {
        "same likeliest token": f"{found.top1:.4f} [{found.low:.4f}, {found.high:.4f}] of {found.n} tokens",
        "error of the logits": _words(found.relative),
        "largest difference": f"{found.largest:.3g}",
        "KL, nats a token": _words(found.divergence),
        "perplexity": _words(found.perplexity),
        "perplexity, reference": _words(found.reference_perplexity),
    }
    print_facts(title, facts, console)


def _words(value: Estimate) -> str:
    return f"{value.estimate:.4g} [{value.low:.4g}, {value.high:.4g}]"


def _origin(name: str, loaded: Base, found: dict[str, Agreement]) -> dict[str, Any]:
    """What a written base says of itself; ids that are paths are told by their name alone."""
    base = {"id": Path(name).name if Path(name).expanduser().exists() else name, "hash": loaded.hash}
    checks = {key: value.as_dict() for key, value in found.items()}
    return {"dequantised": {**base, "quantisation": loaded.quantisation}, "agreement": checks}


def _write(plain: Base, output: Path, origin: dict[str, Any], name: str, loaded: Base, console: Console) -> None:
    from llm_experts.bases.dequantised import write_base
    from llm_experts.bases.quantised import weight_bytes

    write_base(plain, output, origin)
    facts = {"weights as codes, bytes": weight_bytes(loaded.model), "float32 weights, bytes": weight_bytes(plain.model)}
    place = Path(name).expanduser()
    if place.exists():
        facts[f"on disk: {place.name}, bytes"] = _size(place)
    facts[f"on disk: {output.name}, bytes"] = _size(output)
    print_facts("sizes", facts, console)
    console.print(f"written: {output}", soft_wrap=True, highlight=False, markup=False)


def _size(place: Path) -> int:
    """Bytes of a file of weights, or of those in a folder."""
    files = [place] if place.is_file() else place.glob("*.safetensors")
    return sum(path.stat().st_size for path in files)


def _rounded(
    loaded: Base,
    plain: Base,
    to: str,
    expert: Path | None,
    families: Sequence[str],
    count: int,
    texts: Sequence[str] | None,
    codes: Path | None,
    seed: int,
    console: Console,
) -> None:
    """Round the float32 weights again, with an expert in them if one is named, and say what it cost."""
    from llm_experts.bases.agreement import TEXTS, agreement
    from llm_experts.bases.quantising import quantised
    from llm_experts.bases.ternary.files import write_ternary
    from llm_experts.discovery.requantising.requantised import requantised

    adapter = None if expert is None else adapters_of([expert], loaded)[0]
    if expert is not None and adapter is None:
        raise typer.BadParameter(f"The expert in {expert} is the base itself; there is nothing to add to its weights.")
    if adapter is None:
        made = quantised(plain, to, scale="fitted")
        _print(f"{to} against float32", agreement(plain, made, texts or TEXTS, seed=seed), console)
    else:
        items = _scenarios(families, count, seed)
        made, found = requantised(plain, adapter, to, items, texts=texts or TEXTS, seed=seed)
        _print(f"{to} against float32, the expert in both", found.agreement, console)
        print_facts(f"choices among listed answers, {found.n} items", _cost(found), console)
    if codes is not None:
        write_ternary(made, codes)
        console.print(f"written: {codes} ({_size(codes):,} bytes)", soft_wrap=True, highlight=False, markup=False)


def _scenarios(families: Sequence[str], count: int, seed: int) -> list[Scenario]:
    from llm_experts.discovery.measuring.domain import Domain, scenarios

    return scenarios([Domain(name, name) for name in families], "capability", count, seed)


def _cost(found: Requantised) -> dict[str, str]:
    return {
        "right: base": _right(found.base),
        "right: with the expert": _right(found.folded),
        "right: with it, rounded": _right(found.rounded),
        "what rounding cost": _paired(found.cost),
        "what is left of its gain": _paired(found.left),
        "weights, bytes": f"{found.bytes_before:,} before, {found.bytes_after:,} after",
    }


def _right(found: Right) -> str:
    return f"{found.share:.3f} [{found.low:.3f}, {found.high:.3f}], p {found.p_mean:.3f}"


def _paired(found: Paired) -> str:
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], p = {found.p:.2g}"

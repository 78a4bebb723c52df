"""Options of the verbs that ask the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llm_experts.runtime.sampling import Sampling

Base = Annotated[
    str, typer.Option(help="Language model: nano, a Hugging Face id (ID@REVISION too), a folder or .gguf file.")
]
Experts = Annotated[str, typer.Option(help="Who answers: auto, base, a,b or a=0.7,b=0.3.")]
Router = Annotated[
    Path | None,
    typer.Option(help="How auto chooses: the folder that fairmoe route --fit wrote, or a config (.toml)."),
]
RopeScaling = Annotated[
    str | None, typer.Option(help="For longer texts than the base was trained on: linear:2, dynamic:4 or yarn:4.")
]
MaxTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Most tokens of an answer; default: as the expert's package says, or 128 (chat: 256)."),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="0 takes the likeliest word; 1 draws as the model says. Default: as the expert's package says, or 0.",
    ),
]
TopP = Annotated[
    float | None, typer.Option(min=0, max=1, help="Draw among the likeliest words of this total probability.")
]
TopK = Annotated[int | None, typer.Option(min=0, help="Draw among so many of the likeliest words; 0: among all.")]
Stop = Annotated[list[str] | None, typer.Option(help="Text that ends an answer (repeat the option).")]
Seed = Annotated[int | None, typer.Option(help="The same seed draws the same words.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")]
AllowUntrusted = Annotated[
    bool, typer.Option("--allow-untrusted", help="Also experts that nobody whom you trust vouches for.")
]


def sampling_of(
    most: int,
    max_tokens: int | None,
    temperature: float | None,
    top_p: float | None,
    top_k: int | None,
    stop: list[str] | None,
    seed: int | None,
    repetition_penalty: float = 1.0,
) -> tuple[Sampling, frozenset[str]]:
    """Settings of the options that were given, with ``most`` tokens by default, and which were left open."""
    from llm_experts.runtime.sampling import Sampling

    given = {
        "max_new_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "stop": tuple(stop) if stop else None,
    }
    known = {name: value for name, value in given.items() if value is not None}
    settings = {"max_new_tokens": most, **known, "seed": seed, "repetition_penalty": repetition_penalty}
    return Sampling(**settings), frozenset(given) - frozenset(known)  # type: ignore[arg-type]

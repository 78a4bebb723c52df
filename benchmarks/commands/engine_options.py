"""Options of the verbs that ask the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Base = Annotated[str, typer.Option(help="Language model: nano, a Hugging Face id or a folder.")]
Experts = Annotated[str, typer.Option(help="Who answers: auto, base, a,b or a=0.7,b=0.3.")]
Router = Annotated[
    Path | None, typer.Option(help="How auto chooses: the folder that fairmoe route --fit saved a router to.")
]
RopeScaling = Annotated[
    str | None, typer.Option(help="For longer texts than the base was trained on: linear:2, dynamic:4 or yarn:4.")
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")]
Temperature = Annotated[float, typer.Option(min=0, help="0 takes the likeliest word; 1 draws as the model says.")]
TopP = Annotated[float, typer.Option(min=0, max=1, help="Draw among the likeliest words of this total probability.")]
TopK = Annotated[int, typer.Option(min=0, help="Draw among so many of the likeliest words; 0: among all.")]
Stop = Annotated[list[str] | None, typer.Option(help="Text that ends an answer (repeat the option).")]
Seed = Annotated[int | None, typer.Option(help="The same seed draws the same words.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")]
AllowUntrusted = Annotated[
    bool, typer.Option("--allow-untrusted", help="Also experts that nobody whom you trust vouches for.")
]

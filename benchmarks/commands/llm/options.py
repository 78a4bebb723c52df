"""Options that several verbs of ``fairmoe llm`` have."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

AnyExpert = "a folder of 'fairmoe llm train', the name of an installed expert or a .expert file"
"""How experts may be named."""
BaseName = Annotated[
    str, typer.Option(help="nano (pretrained here, once), a Hugging Face id (ID@REVISION too), a folder or .gguf file.")
]
Revision = Annotated[
    str | None, typer.Option(help="Commit, tag or branch of a Hugging Face id; as --base ID@REVISION says it.")
]
Dtype = Annotated[str, typer.Option(help="auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16 or float16.")]
Quantisation = Annotated[str, typer.Option(help="none, nf4 or int8 (bitsandbytes, on CPU and GPU), or ternary.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
TaskName = Annotated[str, typer.Option(help="Task, such as german or adult:sex@1000 (at most 1000 rows), or a card.")]
Style = Annotated[str, typer.Option(help="How prompts are written: auto, chat, plain or instruct.")]
Requests = Annotated[int, typer.Option(min=1, help="Requests at once.")]
Seen = Annotated[bool, typer.Option("--allow-seen", help="Go on although the expert has seen some of the rows.")]


def command(*words: str | Path, **options: str | int) -> str:
    """A command of ``fairmoe llm`` as it can be pasted into a shell, every option written out."""
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return shlex.join(["fairmoe", "llm", *map(str, words), *given])

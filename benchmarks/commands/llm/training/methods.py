"""``fairmoe llm methods``: trainers and their options."""

from __future__ import annotations

import textwrap
from typing import Annotated

import typer

from foundation.console import plain_console


def methods(
    name: Annotated[str | None, typer.Argument(help="One of them; default: all.")] = None,
) -> None:
    """Trainers of 'fairmoe llm train --data' and '--family': what each is for, what items it needs, its options.

    Examples: fairmoe llm methods · fairmoe llm methods dpo
    """
    from benchmarks.making.methods import option_rows, trainer, trainer_names

    console = plain_console(highlight=False)
    width = console.width
    found = [trainer(one) for one in (trainer_names() if name is None else [name])]
    for record in found:
        console.print(f"{record.name}: {record.label}; {record.about}")
        console.print(f"  items: {NEEDS[record.needs]}", soft_wrap=True)
        for option in option_rows(record):
            console.print(f"  --option {option.name}={option.default}")
            console.print(textwrap.indent(textwrap.fill(option.about, width - 6), "      "), soft_wrap=True)
        console.print()
    record = trainer("sft" if name is None else name)
    items = "--family arithmetic" if record.needs == "prompt" else "--data items.jsonl"
    needed = MORE.get(record.name, "")
    console.print(f"Next: fairmoe llm train {items} --method {record.name}{needed} --dry-run", soft_wrap=True)


MORE = {"distil": " --option teacher=FOLDER", "ewc": " --after EXPERT"}
"""What a method cannot do without."""
NEEDS = {
    "completion": '{"prompt": "1 + 1 =", "completion": "2"}',
    "pair": '{"prompt": "1 + 1 =", "chosen": "2", "rejected": "3"}',
    "prompt": '{"prompt": "1 + 1 ="} and a checker (--family or --judge)',
    "text": '{"text": "One and one is two."}',
}
"""A line of a file for each need."""

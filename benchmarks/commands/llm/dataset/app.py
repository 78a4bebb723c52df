"""``fairmoe llm dataset``: one file per verb."""

from __future__ import annotations

import typer

from benchmarks.commands.llm.dataset import generate, stats, validate

app = typer.Typer(no_args_is_help=True, help="Items to learn from: generate them, check a file of them, count it.")
app.command("generate")(generate.generate)
app.command("validate")(validate.validate)
app.command("stats")(stats.stats)

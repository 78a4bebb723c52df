"""``fairmoe llm``: base models, adapter experts on rows written as text, their language bias, searched mixtures."""

from __future__ import annotations

import typer

from benchmarks.commands.llm import adapters, base, bias, check, evaluate, families, search, train, validate
from benchmarks.commands.llm.dataset.app import app as dataset

app = typer.Typer(no_args_is_help=True, help="Text experts: adapters on a frozen language model, on the same rows.")
app.command("base")(base.base)
app.command("adapters")(adapters.adapters)
app.command("train")(train.train)
app.command("validate")(validate.validate)
app.command("evaluate")(evaluate.evaluate)
app.command("bias")(bias.bias)
app.command("check")(check.check)
app.command("search")(search.search)
app.command("families")(families.families)
app.add_typer(dataset, name="dataset")

"""``fairmoe llm``: base models, experts on rows written as text or on items, their language bias, searched mixtures."""

from __future__ import annotations

import typer

from benchmarks.commands.llm import adapters, base, bias, check, evaluate, methods, search, train, train_all

app = typer.Typer(no_args_is_help=True, help="Experts on texts: adapters on a frozen language model.")
app.command("base")(base.base)
app.command("adapters")(adapters.adapters)
app.command("methods")(methods.methods)
app.command("train")(train.train)
app.command("train-all")(train_all.train_all)
app.command("evaluate")(evaluate.evaluate)
app.command("bias")(bias.bias)
app.command("check")(check.check)
app.command("search")(search.search)

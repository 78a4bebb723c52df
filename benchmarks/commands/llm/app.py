"""``fairmoe llm``: bases, data, experts on items and on rows written as text, what they are worth, what mixes them.

Verbs stand in the order of the work: what there is, data, training, examinations, compositions.
"""

from __future__ import annotations

import typer

from benchmarks.commands.llm import families, search
from benchmarks.commands.llm.bases import adapters, base, dequantize
from benchmarks.commands.llm.dataset.app import app as dataset
from benchmarks.commands.llm.examining import bias, check, evaluate, validate
from benchmarks.commands.llm.training import methods, train, train_all

app = typer.Typer(
    no_args_is_help=True,
    help="Language experts: adapters on a frozen language model. From a base and data to an expert: base, dataset, "
    "train, validate, evaluate (docs/making_experts.md).",
)
app.command("base")(base.base)
app.command("dequantize")(dequantize.dequantize)
app.command("adapters")(adapters.adapters)
app.command("methods")(methods.methods)
app.command("families")(families.families)
app.add_typer(dataset, name="dataset")
app.command("train")(train.train)
app.command("train-all")(train_all.train_all)
app.command("validate")(validate.validate)
app.command("evaluate")(evaluate.evaluate)
app.command("bias")(bias.bias)
app.command("check")(check.check)
app.command("search")(search.search)

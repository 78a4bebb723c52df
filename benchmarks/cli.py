"""The ``fairmoe`` command. Only typer and rich are imported here, so that ``--help`` answers at once."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from benchmarks.commands import discover
from benchmarks.commands.answers import chat, infer, route, serve
from benchmarks.commands.llm.app import app as llm
from benchmarks.commands.models import choose, monitor, predict, score
from benchmarks.commands.packages import card, export, inspect, keygen, package, sign, trust, verify
from benchmarks.commands.registry import index, info, install, listing, lock, publish, uninstall, update
from benchmarks.commands.runs import bench, compare, merge, report, track, tune, ui
from benchmarks.commands.tables import data, splits
from benchmarks.run.failure import paragraphs
from benchmarks.run.threads import limit_threads

app = typer.Typer(
    name="fairmoe",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Fairness-aware mixtures of experts: tune experts of three roles, mix them row by row, and say who wins, "
        "by how much and how surely.\n\n"
        "Start with **fairmoe bench quick**, then open the leaderboard it names."
    ),
)
app.add_typer(data.app, name="data")
app.command("bench")(bench.bench)
app.command("choose")(choose.choose)
app.command("discover")(discover.discover)
app.command("tune")(tune.tune)
app.command("predict")(predict.predict)
app.command("monitor")(monitor.monitor)
app.command("splits")(splits.splits)
app.command("score")(score.score)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("merge")(merge.merge)
app.command("ui")(ui.ui)
app.command("chat")(chat.chat)
app.command("infer")(infer.infer)
app.command("serve")(serve.serve)
app.command("route")(route.route)
app.command("install")(install.install)
app.command("list")(listing.list_experts)
app.command("info")(info.info)
app.command("update")(update.update)
app.command("uninstall")(uninstall.uninstall)
app.command("publish")(publish.publish)
app.command("lock")(lock.lock)
app.add_typer(index.app, name="index")
app.add_typer(llm, name="llm")
app.add_typer(track.app, name="track")
app.command("package")(package.package)
app.command("card")(card.card)
app.command("export")(export.export)
app.command("inspect")(inspect.inspect)
app.command("verify")(verify.verify)
app.command("sign")(sign.sign)
app.command("keygen")(keygen.keygen)
app.add_typer(trust.app, name="trust")


def _show_version(asked: bool) -> None:
    if asked:
        from benchmarks.plan.environment import version_line

        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Options of the command itself; what it says of itself stands above."""


def main() -> None:
    """Run the command; errors that a user can mend are one paragraph, not a traceback."""
    limit_threads()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with paragraphs("fairmoe"):
        app()

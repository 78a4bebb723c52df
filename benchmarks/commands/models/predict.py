"""``fairmoe predict``: a saved model on raw rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.options import AllowUntrusted, Edges, GivenRows, InstalledExpert, ModelBase, Own, Trust
from foundation.console import plain_console

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.models.saved import SavedModel

MISSING, ERROR = "missing", "error"


def predict(
    model: Annotated[
        Path | None,
        typer.Argument(help="Folder of a saved model, such as fairmoe choose writes, or a .expert file."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Argument(
            help="Raw rows with the columns of the data, in any format that fairmoe data card reads (CSV of every "
            "separator and encoding, also packed, .parquet, .feather, .xlsx, .arff), or - for text on the standard "
            "input."
        ),
    ] = None,
    expert: InstalledExpert = None,
    given: GivenRows = None,
    output: Annotated[
        str, typer.Option(help="Write predictions to this .csv, .csv.gz or .parquet; - prints them as CSV.")
    ] = "-",
    unknown: Annotated[
        str,
        typer.Option(help="A category that no training row had: error stops, missing counts it as an empty cell."),
    ] = ERROR,
    edges: Edges = None,
    own: Own = None,
    trust: Trust = None,
    base: ModelBase = None,
    allow_untrusted: AllowUntrusted = False,
) -> None:
    """Predict raw rows: row (0-based), probability of class 1, prediction, and the group where its columns are there.

    A column that the model needs and the file lacks, a word among numbers and an unknown category are named and end the
    command; further columns are ignored and named. A package is hashed, and its signatures are judged, before it is
    read.

    Examples: fairmoe predict MODEL rows.csv --output predictions.csv · cat rows.csv | fairmoe predict MODEL - > out.csv
    · fairmoe predict --expert german-net --input rows.csv
    """
    from benchmarks.models.error import RowsError
    from benchmarks.models.files import STANDARD, read_rows

    if unknown not in (ERROR, MISSING):
        raise RowsError(f"--unknown is {ERROR} or {MISSING}, not {unknown!r}.")
    which, source = asked(model, rows, expert, given)
    loaded = _loaded(which, own, trust or (), base, allow_untrusted)
    target = None if output == STANDARD else Path(output)
    told: dict[str, Any] = {"rows": 0, "positive": 0}
    with counted() as advance:
        parts = read_rows(source, loaded.card, loaded.encoder)
        _write(_predicted(loaded, parts, unknown, edges, source, told, advance), target)
    _tell(loaded, told)
    if target is not None:
        typer.echo(f"{output}: {told['rows']:,} rows, {told['positive'] / told['rows']:.1%} predicted as class 1.")
        named = which if isinstance(which, Path) else f"--expert {which}"
        typer.echo(f"Next, once labels are known: fairmoe monitor {named} {source} --labels {loaded.card.label.column}")


def asked(model: Path | None, rows: str | None, expert: str | None, given: str | None) -> tuple[Path | str, str]:
    """Which model, and which rows; each may be given in one of two ways.

    Raises
    ------
    typer.BadParameter
        If one is lacking or is given twice.
    """
    if expert is not None and model is not None and rows is None and given is None:
        model, rows = None, str(model)  # fairmoe predict --expert NAME rows.csv
    which, source = expert if model is None else model, rows if given is None else given
    if which is None or (expert is not None and model is not None):
        raise typer.BadParameter("Give a model: its folder, or --expert NAME; one of the two.")
    if source is None or (rows is not None and given is not None):
        raise typer.BadParameter("Give rows: a file after the model, or --input FILE; one of the two.")
    return which, source


def _loaded(
    which: Path | str, own: str | None, trust: Sequence[str], base: str | None, allow_untrusted: bool
) -> SavedModel:
    from benchmarks.models import load_expert, load_model
    from benchmarks.models.packages import is_package

    if isinstance(which, Path) and not is_package(which):
        return load_model(which, own=own, trust=trust, base=base)
    refuse_code(own, trust)
    return load_expert(which, base=base, allow_untrusted=allow_untrusted)


def refuse_code(own: str | None, trust: Sequence[str]) -> None:
    """Refuse options that packages have no use for.

    Raises
    ------
    typer.BadParameter
    """
    if own is not None or trust:
        raise typer.BadParameter("--own and --trust are for folders of own methods; a package holds no code.")


@contextmanager
def counted() -> Iterator[Callable[[int], None]]:
    """Rows that are done, shown while there is a terminal to show them on."""
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    console = plain_console(stderr=True)
    columns = (TextColumn("{task.completed:,.0f} rows", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows", total=None)
        yield lambda rows: progress.advance(task, rows)


def _predicted(
    model: SavedModel,
    parts: Iterable[pd.DataFrame],
    unknown: str,
    edges: Path | None,
    source: str,
    told: dict[str, Any],
    advance: Callable[[int], None],
) -> Iterator[pd.DataFrame]:
    """Predictions of each part; a graph is not cut in parts."""
    import pandas as pd

    for part in [pd.concat(list(parts), ignore_index=True)] if model.needs_graph else parts:
        found = _predictions(model, part, unknown, edges, told["rows"], source)
        told["ignored"] = model.ignored(part)
        told["rows"] += len(part)
        told["positive"] += int(found["prediction"].sum())
        advance(len(part))
        yield found


def _predictions(
    model: SavedModel, part: pd.DataFrame, unknown: str, edges: Path | None, before: int, source: str
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from benchmarks.models.error import NoEdgesError, RowsError

    try:
        probability = model.predict_proba(part, edges, unknown="missing" if unknown == MISSING else "error")[:, 1]
    except NoEdgesError as error:
        raise NoEdgesError(f"{str(error).partition(': pass')[0]}: give the file of pairs with --edges.") from error
    except RowsError as error:
        text = str(error).replace('pass unknown="missing"', "give --unknown missing")
        place = f" (rows counted from row {before + 1:,} of the file)" if before else ""
        raise type(error)(f"{source}{place}: {text}") from error
    rows = np.arange(before, before + len(part))
    found = pd.DataFrame({"row": rows, "probability": probability, "prediction": (probability > 0.5).astype(np.int64)})
    groups = model.groups(part)
    if groups is not None:
        names = (*model.group_names, "")  # the last one: -1, in none of them
        found["group"] = [names[group] for group in groups.tolist()]
    return found


def _write(parts: Iterator[pd.DataFrame], target: Path | None) -> None:
    import gzip
    import sys

    from foundation.files import atomic_path

    if target is None:
        for place, part in enumerate(parts):
            part.to_csv(sys.stdout, index=False, header=place == 0)
        return
    with atomic_path(target) as temporary:
        if target.suffix == ".parquet":
            _write_parquet(parts, temporary)
        else:
            opened = gzip.open if target.suffix == ".gz" else open
            with opened(temporary, "wt", encoding="utf-8", newline="") as stream:
                for place, part in enumerate(parts):
                    part.to_csv(stream, index=False, header=place == 0)


def _write_parquet(parts: Iterator[pd.DataFrame], path: Path) -> None:
    import pyarrow.parquet as pq
    from pyarrow.lib import Table

    first = Table.from_pandas(next(parts), preserve_index=False)
    with pq.ParquetWriter(path, first.schema) as writer:  # type: ignore[no-untyped-call]
        writer.write_table(first)
        for part in parts:
            writer.write_table(Table.from_pandas(part, preserve_index=False))


def _tell(model: SavedModel, told: dict[str, Any]) -> None:
    """What the output does not say, where it does not disturb the output."""
    package = model.facts.get("package")
    if package is not None and package["trust"] != "trusted":
        typer.echo(f"NOT TRUSTED: {package['name']} {package['version']} is {package['trust']}.", err=True)
    if told.get("ignored"):
        named = ", ".join(told["ignored"][:12]) + (", ..." if len(told["ignored"]) > 12 else "")
        typer.echo(f"Ignored columns, which the model does not look at: {named}", err=True)
    if model.needs_group:
        typer.echo(f"The group of each row is used to decide ({', '.join(model.group_names)}).", err=True)

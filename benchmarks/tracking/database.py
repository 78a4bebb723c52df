"""Tracking stores that are a database on a server, such as ``MLFLOW_TRACKING_URI=postgresql://…``."""

from __future__ import annotations

from foundation.addresses import words_of_driver

SCHEMES = ("postgresql", "postgres", "mysql", "mssql")
"""Of databases on servers that MLflow writes to itself."""
CONNECT_SECONDS = 10


def on_server(uri: str) -> bool:
    """Whether a store is a database on a server: no file, and no tracking server."""
    return uri.partition("://")[0].partition("+")[0] in SCHEMES


def try_server(uri: str) -> None:
    """Open the database once: MLflow would try again for minutes before it says that it cannot be opened.

    Raises
    ------
    ConnectionError
        If it refuses or does not answer: the driver's own words, without the password.
    ModuleNotFoundError
        If the driver is not installed; the text says which group has it.
    """
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(uri)
        wait = {"connect_timeout": CONNECT_SECONDS} if url.get_backend_name() in ("postgresql", "mysql") else {}
        engine = sqlalchemy.create_engine(url, connect_args=wait)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"its driver {error.name} is not installed: pip install --group postgres") from None
    try:
        with engine.connect():
            pass
    except sqlalchemy.exc.DBAPIError as error:
        raise ConnectionError(words_of_driver(str(error.orig), uri)) from None
    finally:
        engine.dispose()

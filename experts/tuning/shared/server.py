"""The database server of studies: its address, its driver, and how long it is waited for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from experts.tuning.shared.tables import create_tables
from foundation.addresses import shown, words_of_driver

T = TypeVar("T")

GROUP = "postgres"
"""Dependency group of the driver."""
DRIVERS = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""Kind of server -> driver, where the address does not name one."""
DIALECTS = {"postgres": "postgresql"}
CREATION = 0x66616972  # number of the lock under which tables are made, of PostgreSQL's advisory ones
CONNECT_SECONDS = 10
LIBPQ = {
    "connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}  # fmt: skip
"""A machine that vanished is noticed within a minute: without these a request to it would wait for hours."""


class StorageError(RuntimeError):
    """The database of the studies cannot be used."""


@dataclass(frozen=True)
class Patience:
    """How long what is waited for, in seconds.

    Attributes
    ----------
    wait : float
        For a server that does not answer any more, before the study is given up.
    heartbeat, grace : int
        A driver says so often that it lives; one that has not for ``grace`` is dead, and its trials are taken over.
    poll : float
        Between two looks for trials of other drivers.
    """

    wait: float = 600.0
    heartbeat: int = 20
    grace: int = 120
    poll: float = 2.0


@dataclass
class StudyServer:
    """Where studies lie that several drivers may work on.

    Attributes
    ----------
    address : str
        ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``; never shown with its password.
    scope : str
        Hash of all that determines the studies beside their own settings: code, data, libraries.
    tell : callable
        Called with words while something is waited for.
    patience : Patience
    """

    address: str = field(repr=False)
    scope: str
    tell: Callable[[str], None] = lambda _: None
    patience: Patience = Patience()
    _given_up: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """The address as people may see it."""
        return shown(self.address)

    @contextmanager
    def opened(self) -> Iterator[RDBStorage]:
        """The storage with all its tables; connections are closed at the end."""
        storage = self.patiently(lambda: open_storage(self.address, self.patience))
        try:
            yield storage
        finally:
            storage.engine.dispose()

    def patiently(self, action: Callable[[], T]) -> T:
        """The result of an action that is tried again while the server does not answer.

        A server that was waited for in vain is waited for no more: what follows fails at once, unless it is back.

        Parameters
        ----------
        action : callable
            May be called several times, the last of which alone was answered.

        Raises
        ------
        StorageError
            If the server stays away for longer than the patience.
        """
        began, pause = time.monotonic(), 0.25
        while True:
            try:
                found = action()
            except (DBAPIError, StorageInternalError) as error:
                if not _lost(error):
                    raise
                waited = time.monotonic() - began
                if self._given_up or waited >= self.patience.wait:
                    self._given_up = True
                    raise StorageError(
                        f"The database {self.name} of the studies does not answer ({_reason(error, self.address)}); it "
                        f"was waited for {waited:.0f} s. Finished trials are kept, there and in the output folder: "
                        "start the server and run the same command again."
                    ) from error
                self.tell(f"waiting for the database ({waited:.0f} s of {self.patience.wait:.0f})")
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
            else:
                self._given_up = False
                return found


def check_server(address: str) -> None:
    """Open the storage once, before anything is computed; its tables are made if absent.

    Raises
    ------
    StorageError
        If the address is none, its driver is not installed, or the server refuses: who, why and what to do.
    """
    try:
        open_storage(address, Patience()).engine.dispose()
    except (DBAPIError, StorageInternalError) as error:
        raise StorageError(_refusal(address, _reason(error, address))) from error


def open_storage(address: str, patience: Patience) -> RDBStorage:
    """Optuna's storage with our table beside its own; tables are made by one driver at a time."""
    url = _url(address)
    libpq: dict[str, Any] = {"connect_args": LIBPQ} if url.get_driver_name().startswith("psycopg") else {}
    engine = sqlalchemy.create_engine(url, **libpq)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(CREATION)))
            storage = _optuna_storage(url, patience, libpq)
            try:
                create_tables(storage.engine)
            except BaseException:
                storage.engine.dispose()
                raise
            return storage
    finally:
        engine.dispose()


def _optuna_storage(url: sqlalchemy.URL, patience: Patience, libpq: dict[str, Any]) -> RDBStorage:
    with warnings.catch_warnings():  # heartbeats are marked experimental; they are meant for ``optimize``, see beats
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs=dict(libpq),
            heartbeat_interval=patience.heartbeat,
            grace_period=patience.grace,
        )


def _url(address: str) -> sqlalchemy.URL:
    """The address with its driver, which is there.

    Raises
    ------
    StorageError
        If it is no address of a known kind, or the driver is missing.
    """
    try:
        url = sqlalchemy.make_url(address)
        kind, _, driver = url.drivername.partition("+")
        driver = driver or DRIVERS.get(kind, "")
        url = url.set(drivername=f"{DIALECTS.get(kind, kind)}+{driver}")
        if kind in DRIVERS:
            url.get_dialect().import_dbapi()
    except (ArgumentError, ValueError):
        kind = ""
    except (NoSuchModuleError, ImportError):
        group = f"the dependency group '{GROUP}' (pip install --group {GROUP})" if driver == "psycopg" else driver
        raise StorageError(
            f"The driver {driver} of the storage {shown(address)} is not installed. Install {group} and run the same "
            "command again; nothing was computed."
        ) from None
    if kind not in DRIVERS:
        raise StorageError(
            f"{shown(address)!r} is no address of a database for studies. Give --storage as "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE (or mysql://…), or leave it out: studies then lie in the "
            "output folder."
        )
    return url


def _refusal(address: str, reason: str) -> str:
    """What is to be done about a server that cannot be used at the start."""
    url = sqlalchemy.make_url(address)
    who = f"The database {shown(address)} of --storage"
    if "password" in reason or "authentication" in reason or "role" in reason:
        todo = f"Check user {url.username or '(none given)'} and password: in the address, PGPASSWORD or ~/.pgpass."
    elif f'database "{url.database}" does not exist' in reason:
        todo = f"Make it with: createdb -h {url.host or 'HOST'} {url.database}"
    else:
        todo = "Check host and port, and that the server runs and lets this machine in."
    return f"{who} cannot be used ({reason}). {todo} Nothing was computed."


def _lost(error: Exception) -> bool:
    """Whether an error is the server's absence, not something that would happen again."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    gone = isinstance(cause, DBAPIError) and cause.connection_invalidated
    return gone or isinstance(cause, (OperationalError, InterfaceError))


def _reason(error: Exception, address: str) -> str:
    """The driver's own words on one line, without what SQLAlchemy and Optuna put around them."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    said = str(cause.orig if isinstance(cause, DBAPIError) else cause)
    return words_of_driver(said, address) or type(error).__name__

"""Studies in a database that several drivers work on."""

from experts.tuning.shared.driving import run_shared
from experts.tuning.shared.server import Patience, StorageError, StudyServer, check_server

__all__ = ["Patience", "StorageError", "StudyServer", "check_server", "run_shared"]

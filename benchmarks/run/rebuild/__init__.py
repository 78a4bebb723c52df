"""Models of a finished run, made again from what it left: any method, any trained configuration, members, bags."""

from benchmarks.run.rebuild.error import RebuildError
from benchmarks.run.rebuild.handle import CellHandle, cell_at, open_cell
from benchmarks.run.rebuild.rebuilt import Rebuilt, check_unchanged, rebuild, silent

__all__ = ["CellHandle", "RebuildError", "Rebuilt", "cell_at", "check_unchanged", "open_cell", "rebuild", "silent"]

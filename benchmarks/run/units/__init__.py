"""Stages of a job as units that may run on different machines: which there are, how one runs, what is left behind."""

from benchmarks.run.units.listing import units_of
from benchmarks.run.units.running import close_job, open_job, run_unit
from benchmarks.run.units.unit import Unit

__all__ = ["Unit", "close_job", "open_job", "run_unit", "units_of"]

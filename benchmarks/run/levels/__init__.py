"""What a method reaches when a result gap may be at most a level: rows of the tables "levels",
"thresholds" and "trials".

Everything is chosen on validation or out-of-fold rows, from predictions that exist already; test rows are only looked
up. Nothing is trained here.
"""

from benchmarks.run.levels.allowed import BOUNDS, Allowed, allowed_gaps, bounded_gaps
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.explained import BOUNDED, Explained
from benchmarks.run.levels.out_of_fold import OutOfFold
from benchmarks.run.levels.part import GAP, REPORTED, UTILITY
from benchmarks.run.levels.rows import level_tables
from benchmarks.run.levels.trained import Trained
from benchmarks.run.levels.trials import trial_rows

__all__ = [
    "BOUNDED",
    "BOUNDS",
    "GAP",
    "REPORTED",
    "UTILITY",
    "Allowed",
    "Choice",
    "Explained",
    "OutOfFold",
    "Trained",
    "Variant",
    "allowed_gaps",
    "bounded_gaps",
    "level_tables",
    "trial_rows",
]

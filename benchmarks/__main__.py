"""``python -m benchmarks`` is the ``fairmoe`` command."""

from benchmarks.cli import main

main()

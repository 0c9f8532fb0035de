"""Prints the progress of a run for people, unless its command is quiet."""

from __future__ import annotations

import os
import sys

#: The variable by which a head makes the jobs on its machine quiet.
QUIET = "SNAKEVAL_QUIET"


def say(line: str) -> None:
    """Print a line of progress to standard error, unless ``-q`` or ``--quiet all`` is set."""
    if not os.environ.get(QUIET):
        print(line, file=sys.stderr, flush=True)

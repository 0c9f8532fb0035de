"""Runs the job of the rule ``export``: sends a run to its configured destinations.

Failed deliveries are in the note and do not fail the job.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from snakeval.exporters.delivery import deliver_configured
from snakeval.run.directory import RunDirectory


def main() -> None:
    """Send the run that the note belongs to."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.exporters", description=__doc__)
    parser.add_argument("note", type=Path, help="the note that the rule declares")
    run = RunDirectory.of_delivery(parser.parse_args().note)
    deliver_configured(run, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()

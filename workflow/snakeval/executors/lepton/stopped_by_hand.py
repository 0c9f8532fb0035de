"""Notes the evaluations that ``snakeval kill`` stopped while their run continues.

The Snakemake processes of that moment do not retry such an evaluation. The next Snakemake does.
"""

from __future__ import annotations

import json

from snakeval.files import read_list, write_atomically
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head, heads


def note(run: RunDirectory, evaluation: str) -> None:
    """Note that `snakeval kill` stopped an evaluation, unless the run has no live Snakemake."""
    if mine := heads(run):
        write_atomically(
            run.evaluation(evaluation).killed, json.dumps([_id(head) for head in mine])
        )


def by_hand(run: RunDirectory, evaluation: str) -> bool:
    """Whether `snakeval kill` stopped it, and a Snakemake of that moment still lives."""
    try:
        noted = read_list(run.evaluation(evaluation).killed) or ()
    except (OSError, ValueError):
        return False
    return any(_id(head) in noted for head in heads(run))


def forget(run: RunDirectory, evaluation: str) -> None:
    """Delete the note, because the evaluation starts again."""
    run.evaluation(evaluation).killed.unlink(missing_ok=True)


def _id(head: Head) -> list[str | int]:
    return [head.host, head.pid, head.start]

"""What ``snakeval kill`` ended of a run that goes on: the Snakemakes of then do not begin it again.

Their retries would; the next Snakemake does it.
"""

from __future__ import annotations

import json

from snakeval.files import write_atomically
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import Head, heads


def note(run: RunDirectory, evaluation: str) -> None:
    """Note that an evaluation was ended by hand; nothing is noted where no Snakemake may live."""
    if mine := heads(run):
        write_atomically(
            run.evaluation(evaluation).killed, json.dumps([_id(head) for head in mine])
        )


def by_hand(run: RunDirectory, evaluation: str) -> bool:
    """Whether it was ended by hand, and one of the Snakemakes of then goes on."""
    try:
        noted = json.loads(run.evaluation(evaluation).killed.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return any(_id(head) in noted for head in heads(run))


def forget(run: RunDirectory, evaluation: str) -> None:
    """Forget it: it begins anew."""
    run.evaluation(evaluation).killed.unlink(missing_ok=True)


def _id(head: Head) -> list[str | int]:
    return [head.host, head.pid, head.start]

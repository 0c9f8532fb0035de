"""What ``snakeval kill`` ended of a run that goes on: the Snakemakes of then do not begin it again.

Their retries would; the next Snakemake does it.
"""

from __future__ import annotations

import json
from pathlib import Path

from snakeval.files import write_atomically
from snakeval.run.heads import Head, heads


def note(run: Path, evaluation: str) -> None:
    """Note that an evaluation was ended by hand; nothing is noted where no Snakemake may live."""
    if mine := heads(run):
        write_atomically(_file(run, evaluation), json.dumps([_id(head) for head in mine]))


def by_hand(run: Path, evaluation: str) -> bool:
    """Whether it was ended by hand, and one of the Snakemakes of then goes on."""
    try:
        noted = json.loads(_file(run, evaluation).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return any(_id(head) in noted for head in heads(run))


def forget(run: Path, evaluation: str) -> None:
    """Forget it: it begins anew."""
    _file(run, evaluation).unlink(missing_ok=True)


def _file(run: Path, evaluation: str) -> Path:
    return run / evaluation / ".snakeval" / "killed.json"


def _id(head: Head) -> list[str | int]:
    return [head.host, head.pid, head.start]

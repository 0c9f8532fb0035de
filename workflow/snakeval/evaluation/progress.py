"""Reads how far an evaluation is, from the end of its harness's log or from counters.

It reads files only, so it works for a killed run as well as for a live one.
"""

from __future__ import annotations

import re
from pathlib import Path

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import read
from snakeval.files import read_text
from snakeval.logs import tail

#: A bar of tqdm: "Requesting API:  45%|████▌     | 18/40 [00:03<00:05,  4.20it/s]".
_BAR = re.compile(r"\d{1,3}%\|[^|]{0,300}\| *(\d{1,12})/(\d{1,12}) \[([^\]]{0,80})")
#: Bars of what is no request: of lm-evaluation-harness, of downloads, of data sets.
_NO_REQUESTS = re.compile(
    r"(checking cached|download|fetch|load|generating .* split|map|filter|"
    r"tokeniz|process)",
    re.IGNORECASE,
)
#: lm-evaluation-harness says this before a bar without a name.
_PREPARING = re.compile(r"Building contexts for .*\n.*")


def requests(directory: EvaluationDirectory) -> tuple[int, int | None] | None:
    """Return how many requests the newest attempt has done, and the total if it is known.

    The eval-factory's counter and the gateway's have no total. None if the harness has reported
    nothing (yet).
    """
    return (
        bar(tail(directory.newest_log()))
        or _counted(directory.newest_artifacts / "progress")
        or _answered(directory)
    )


def _answered(directory: EvaluationDirectory) -> tuple[int, None] | None:
    """Return how many answers the harness received through its gateway."""
    answered = sum(each.answered for each in read(directory).values())
    return (answered, None) if answered else None


def bar(text: str) -> tuple[int, int] | None:
    """Return done and total of the last bar of requests in *text*.

    >>> bar("Fetching 2 files: 100%|██| 2/2 [00:01<00:00]\\rAsking:  45%|█▌  | 18/40 [00:03<00:05]")
    (18, 40)
    """
    lines = re.split(r"[\r\n]", _PREPARING.sub("", text))
    for line in reversed(lines):
        if (match := _BAR.search(line)) and not _NO_REQUESTS.search(line[: match.start()]):
            done, total, speed = match.groups()
            if "B/s" not in speed:
                return int(done), int(total)
    return None


def _counted(counter: Path) -> tuple[int, None] | None:
    """Read the eval-factory's counter, which its progress tracking keeps."""
    try:
        return int(read_text(counter)), None
    except (OSError, ValueError):
        return None

"""The counts of an evaluation's requests and tokens: its gateway's, or else its harness's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snakeval.evaluation import requests
from snakeval.evaluation.record import LEDGER
from snakeval.evaluation.trees import is_artifact
from snakeval.files import DAMAGE, json_value, read_text
from snakeval.harnesses.values import optional_count, optional_number
from snakeval.results.comparison import Measured

#: The eval-factory adapter's log of its requests. Other harnesses count none.
_OWN = "eval_factory_metrics.json"


@dataclass(frozen=True, slots=True)
class Usage:
    """The requests and tokens of an evaluation; None for each that nothing counted."""

    requests: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def usage(one: Measured) -> Usage:
    """Return the counts of a finished evaluation."""
    if LEDGER not in one.record.versions:
        return of_harness(one.directory.artifacts)
    counts = requests.read(one.directory).get(one.model)
    if counts is None:
        return Usage()
    return Usage(counts.requests, counts.prompt_tokens, counts.completion_tokens)


def of_harness(artifacts: Path) -> Usage:
    """Read the harness's own counts: tokens are means over the successful requests."""
    path = artifacts / _OWN
    try:
        if not is_artifact(path, artifacts):
            return Usage()
        stats = json_value(read_text(path))["response_stats"]
        count = optional_count(stats.get("count"))
        answered = optional_count(stats.get("successful_count")) or 0
        means = [
            optional_number(stats.get(f"avg_{kind}_tokens")) for kind in ("prompt", "completion")
        ]
    except (OSError, *DAMAGE):
        return Usage()  # counts are optional
    return Usage(
        count, *(None if mean is None else optional_count(mean * answered) for mean in means)
    )

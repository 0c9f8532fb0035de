"""Reads the health of an evaluation from its journals and the summary of its last gateway.

No request and no harness is necessary. An answer costs about 0.1 ms, and memory grows with the
number of answers only by their places in the journal. Whatever is damaged makes counts unknown and
never raises an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakeval.evaluation.answer_counts import AnswerCounts
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.health import Answers, Health
from snakeval.evaluation.requests import summary_parts
from snakeval.files import DAMAGE
from snakeval.ledger import endings, reading
from snakeval.ledger.losses import CAUSES, REFUSED
from snakeval.ledger.summary import folder_of


def read_health(
    directory: EvaluationDirectory,
    ledger: str = "on",
    identities: Mapping[str, str] | None = None,
) -> Health:
    """Return the health of the answers that the last harness of *directory* received.

    *ledger* is the mode of its gateway, and *identities* are the answer identities of the models,
    if the harness may have been one of another definition.
    """
    if ledger == "off":
        return Health(unknown="its ledger is off")
    try:
        parts = summary_parts(directory)
        for name, identity in (identities or {}).items():
            if name in parts and _identity(directory.requests, name, parts[name]) != identity:
                return Health(unknown="its journal is of another definition")
        models = {name: _answers(directory.requests, name, part) for name, part in parts.items()}
    except OSError as error:
        return Health(unknown=f"{error.filename} cannot be read ({error.strerror})")
    if not models:
        return Health(unknown="its gateway left no summary")
    return Health(models)


def _answers(requests: Path, name: str, part: Mapping[str, Any]) -> Answers:
    """Return the counts of one model: of its journals, and of its *part* of the summary.

    Raises:
        OSError: the journal cannot be read.
    """
    folder, identity = folder_of(requests, name), _identity(requests, name, part)
    counts = AnswerCounts()
    for key, occurrence, answer in reading.used(folder, identity):
        if answer is None:
            counts.miss()
            continue
        try:
            counts.add(key, occurrence, answer)
        except DAMAGE:
            counts.miss()
    found = counts.found()
    try:
        return _with_summary(found, part)
    except DAMAGE:
        return found


def _identity(requests: Path, name: str, part: Mapping[str, Any]) -> str:
    """Return the answer identity of the answers that a gateway counted in *part*."""
    return str(part.get("identity") or reading.newest_identity(folder_of(requests, name)))


def _with_summary(found: Answers, part: Mapping[str, Any]) -> Answers:
    """Return *found* with what only the gateway knows.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: its summary is damaged.
    """
    received = _received(part)
    is_kept = bool(found.answered or found.refused or found.missing)
    if received and not is_kept:
        found = _of_summary(part)  # `ledger: memory` keeps no answers
    elif not part.get("other_requests"):
        # A filter refuses in an answer, which `answered` counts already.
        refused = (found.refused or 0) - (found.filtered or 0)
        counted = (found.answered or 0) + refused + (found.missing or 0)
        # The end of a damaged journal cannot be read.
        lacking = max(0, received - counted)
        found = replace(found, missing=(found.missing or 0) + lacking)
    lost: Mapping[str, Any] | None = part.get("lost")
    causes = {str(cause): int(number) for cause, number in (part.get("causes") or {}).items()}
    found = replace(found, asked=int(part["requests"]), causes=causes)
    if lost is None:
        return found  # an earlier gateway did not distinguish healed requests from lost ones
    counts: dict[str, Any] = {cause: int(lost.get(cause, 0)) for cause in CAUSES}
    counts[REFUSED] += found.refused or 0
    return replace(found, **counts)


def _received(part: Mapping[str, Any]) -> int:
    """Return how many sound answers the harness received."""
    received = sum(int(part["answers"].get(name, 0)) for name in ("asked", "journal"))
    return received - int(part.get("refused_again", 0))  # those of the journal include refusals


def _of_summary(part: Mapping[str, Any]) -> Answers:
    """Return what a summary alone knows of the answers."""
    latency, finish = part["latency"], part["finish_reasons"]
    filtered = sum(int(n) for reason, n in finish.items() if endings.is_filtered(reason))
    return Answers(
        answered=_received(part),
        choices=sum(int(number) for number in finish.values()) or None,
        cut=sum(int(n) for reason, n in finish.items() if endings.is_cut(reason)),
        unended=sum(int(n) for reason, n in finish.items() if not endings.is_known(reason)),
        empty=int(part["empty"]),
        refused=filtered,
        filtered=filtered,
        first_byte={name: float(latency["first_byte"][name]) for name in ("median", "p95")},
        whole={name: float(latency["whole"][name]) for name in ("median", "p95")},
        tokens={str(name): int(number) for name, number in part["tokens"].items()},
        waits={str(cause): float(seconds) for cause, seconds in part["waits"].items()},
        retries=max(0, int(part["tries"]) - int(part["requests"])),
    )

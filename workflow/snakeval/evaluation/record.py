"""The completion record: what is known of a finished evaluation.

:class:`snakeval.evaluation.directory.EvaluationDirectory` writes and reads records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any


def headline(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the metric of a completion record by which people know the benchmark.

    The first one of the benchmark's own task: harnesses put theirs first, and its parts have
    other names.
    """
    metrics: list[Mapping[str, Any]] = record["metrics"]
    identity = record["identity"]
    names = ((identity.get("params") or {}).get("task"), identity.get("task"))
    own = (metric for metric in metrics if metric["task"] in names)
    return next(own, metrics[0] if metrics else None)


RECORD_FORMAT = 1
#: Raise it when the calculation of intervals changes: snakeval then rebuilds the tables.
INTERVALS_VERSION = 2


@dataclass(frozen=True, slots=True)
class Metric:
    """One score.

    Attributes:
        task: the harness's task (a benchmark may report several).
        metric: its name, such as ``exact_match``.
        filter: how the answer was extracted, where the harness says so.
        value: a finite number in the harness's own scale.
        stderr: its standard error in the same scale, where the harness says it.
        n: how many samples it is over, where the harness says it.
        higher_is_better: None where the harness does not say.
    """

    task: str
    metric: str
    value: float
    filter: str = ""
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The completion record: all that is known of a finished evaluation, with no secret."""

    model: str
    benchmark: str
    fingerprint: str
    identity: dict[str, Any]
    metrics: tuple[Metric, ...]
    adapter: str
    parser_version: int
    started: str
    finished: str
    seconds: float
    attempt: int
    runtime: str
    image: str
    image_digest: str
    host: str
    versions: dict[str, str]
    manifest: tuple[dict[str, Any], ...] = field(default=())

    def to_json(self) -> str:
        """Serialise the record."""
        return json.dumps({"format": RECORD_FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Completion:
        """Read a record.

        Raises:
            ValueError: it is no record of this format.
        """
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Completion:
        """Build it from the plain data of a record.

        Raises:
            ValueError: it is no record of this format.
        """
        try:
            data = dict(record)
            if data.pop("format") != RECORD_FORMAT:
                raise ValueError("a record of another format")
            data["metrics"] = tuple(Metric(**metric) for metric in data["metrics"])
            data["manifest"] = tuple(data["manifest"])
            return cls(**data)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a completion record: {error}") from None


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

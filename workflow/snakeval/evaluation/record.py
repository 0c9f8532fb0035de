"""The completion record: what is known of a finished evaluation.

:class:`snakeval.evaluation.directory.EvaluationDirectory` writes and reads records.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from snakeval.evaluation.plain import require_types
from snakeval.files import has_seal, json_object, sealed, without_seal


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


#: The entry of a record's versions that says whether a gateway asked the models.
LEDGER = "ledger"
#: A record of format 2 has a seal; see :mod:`snakeval.files`.
RECORD_FORMAT = 2
_SEALED_FORMAT = 2
#: Raise it when intervals of scores are computed in another way: tables are then rebuilt.
INTERVALS_VERSION = 2


@dataclass(frozen=True, slots=True)
class Metric:
    """One score.

    Attributes:
        task: the harness's task (a benchmark may report several).
        metric: its name, such as ``exact_match``.
        filter: how the answer was extracted, if the harness reports it.
        value: a finite number in the harness's own scale.
        stderr: its standard error in the same scale, if the harness reports it.
        n: the number of its samples, if the harness reports it.
        higher_is_better: None if the harness does not report it.
    """

    task: str
    metric: str
    value: float
    filter: str = ""
    stderr: float | None = None
    n: int | None = None
    higher_is_better: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Metric:
        """Build it from the plain data of a record.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is no metric.
        """
        found = cls(**{name: data[name] for name in cls.__slots__ if name in data})
        numbers = (found.value, 0.0 if found.stderr is None else found.stderr)
        if not all(map(_is_number, numbers)):
            raise ValueError("a score is no finite number")
        if not all(isinstance(text, str) for text in (found.task, found.metric, found.filter)):
            raise ValueError("the name of a score is no text")
        if not (found.n is None or _is_whole(found.n)):
            raise ValueError("the number of samples is no whole number")
        if not (found.higher_is_better is None or type(found.higher_is_better) is bool):
            raise ValueError("a score has no direction")
        return found


@dataclass(frozen=True, slots=True)
class Completion:
    """The completion record: everything about a finished evaluation, with no secret.

    Attributes:
        manifest: path, size and SHA-256 of each artifact, or of the first ones of very many.
        manifest_apart: the SHA-256 of the attempt's file with the whole manifest, if there is one.
        unscored: the metrics that could not be read: task, metric, filter and reason of each.
        health: the data of :class:`snakeval.evaluation.health.Health`; empty in older records.
        more: fields of other versions of snakeval, which stay in the record.
    """

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
    unscored: tuple[dict[str, str], ...] = field(default=())
    manifest_apart: str = ""
    health: Mapping[str, Any] = field(default_factory=dict)
    format: int = RECORD_FORMAT
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the plain data of the record."""
        data = {name: getattr(self, name) for name in _FIELDS}
        data["metrics"] = [asdict(metric) for metric in self.metrics]
        data["manifest"] = [*self.manifest]
        data["unscored"] = [*self.unscored]
        for name in ("unscored", "manifest_apart", "health"):
            if not data[name]:
                del data[name]  # most records have none, and earlier versions do not know it
        return {**self.more, **data}

    def to_json(self) -> str:
        """Serialise the record. A record of an older format keeps its format."""
        data = self.as_dict()
        if self.format < _SEALED_FORMAT:
            return json.dumps(data, indent=1, sort_keys=True)
        return sealed(data)

    @classmethod
    def from_json(cls, text: str) -> Completion:
        """Read a record.

        Raises:
            ValueError: it is not a record, or it is damaged.
        """
        return cls.from_dict(json_object(text.encode()))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Completion:
        """Build it from the data that :func:`snakeval.files.json_object` found in a record.

        Raises:
            ValueError: it is not a record, or it is damaged.
        """
        try:
            return _completion(record)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"not a completion record: {error}") from None


def checked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the plain data of a record, after a check that it is one.

    The seal of a record of this format proves that snakeval wrote it, which saves most of the time.

    Raises:
        ValueError: it is not a record, or it is damaged.
    """
    if not (has_seal(record) and record.get("format") == RECORD_FORMAT and "metrics" in record):
        Completion.from_dict(record)
    return record


_FIELDS = tuple(name for name in Completion.__slots__ if name != "more")
_TEXTS = tuple(name for name, of in Completion.__annotations__.items() if of == "str")


def _completion(record: Mapping[str, Any]) -> Completion:
    data = dict(record)
    if not _is_whole(data["format"]) or data["format"] < 1:
        raise ValueError("a record of no format")
    if data["format"] >= _SEALED_FORMAT and not has_seal(data):
        raise ValueError("its seal is missing")
    data = without_seal(data)
    more = {name: data.pop(name) for name in [*data] if name not in _FIELDS}
    data["metrics"] = tuple(Metric.from_dict(metric) for metric in data["metrics"])
    data["manifest"] = tuple(data["manifest"])
    data["unscored"] = tuple(data.get("unscored", ()))
    if not all(map(_is_unscored, data["unscored"])):
        raise ValueError("unscored: of another type")
    if not all(_is_artifact(entry) for entry in data["manifest"]):
        raise ValueError("its manifest is damaged")
    found = Completion(**data, more=more)
    wrong = [name for name in _TEXTS if not isinstance(getattr(found, name), str)]
    wrong += [
        n for n in ("identity", "versions", "health") if not isinstance(getattr(found, n), dict)
    ]
    wrong += [n for n in ("attempt", "parser_version") if not _is_whole(getattr(found, n))]
    if not wrong and found.format < _SEALED_FORMAT:
        _require_identity(found.identity)
    if not _is_number(found.seconds) or wrong:
        raise ValueError(f"{', '.join(wrong) or 'seconds'}: of another type")
    return found


def _require_identity(data: dict[str, Any]) -> None:
    from snakeval.evaluation.definition import Identity  # slow to import

    require_types(Identity, data)
    json.dumps(data, allow_nan=False)  # 1e999 is a number of JSON, and too large
    # Each format of an identity holds these.
    required = {
        each.name for each in fields(Identity) if {each.default, each.default_factory} == {MISSING}
    }
    if absent := required - data.keys():
        raise ValueError(f"Identity.{min(absent)}: missing")


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return _is_whole(value)


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) < 2**63  # as many bits as tables have


def _is_unscored(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.keys() == {"task", "metric", "filter", "reason"}
        and all(isinstance(value, str) for value in entry.values())
    )


def _is_artifact(entry: Mapping[str, Any]) -> bool:
    path = entry["path"]
    return (
        isinstance(path, str)
        and _is_whole(entry["size"])
        and isinstance(entry["sha256"], str)
        and path != ""
        and "\0" not in path
        and os.fsencode(path) != b""  # half a surrogate is a ValueError
    )


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The checkpoints of series that the heads of a run have seen, as ``series.json`` has them.

:meth:`snakeval.run.directory.RunDirectory.read_series` reads the file, and a start updates it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from snakeval.config.member_names import name_of, series_of, step_of
from snakeval.evaluation.plain import build_known
from snakeval.files import json_object


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint as the last head that planned it has seen it.

    Attributes:
        path: its directory, or its model id at an endpoint.
        values: of the wildcards of its series.
        digest: of its weights; empty at an endpoint.
        stat: digest of its files' names, sizes and times, by which they are recognised.
        seen: when a head has seen this content first, in seconds since 1970.
        same_as: the step whose evaluations have its results, since its weights are equal.
        gone: whether a head has missed it; ``missed`` is when, in seconds since 1970.
        former: the digests of earlier contents whose results are in its evaluations' attempts.
    """

    path: str
    values: Mapping[str, str]
    digest: str = ""
    stat: str = ""
    seen: float = 0.0
    same_as: str = ""
    gone: bool = False
    former: tuple[str, ...] = ()
    missed: float = 0.0


def seen_text(seen: Mapping[str, Seen]) -> str:
    """Return checkpoints, by the names of their models, as the file has them."""
    nested: dict[str, dict[str, Any]] = {}
    for model, each in seen.items():
        nested.setdefault(series_of(model), {})[step_of(model)] = asdict(each)
    return json.dumps(nested, indent=1)


def read_seen(content: bytes) -> dict[str, Seen]:
    """Return the checkpoints in the content of the file, by the names of their models.

    Raises:
        ValueError, TypeError, AttributeError: the content is damaged.
    """
    return {
        name_of(series, step): build_known(Seen, each)
        for series, steps in json_object(content).items()
        for step, each in steps.items()
    }

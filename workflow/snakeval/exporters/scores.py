"""Names the scores of a results table as all destinations take them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

#: The columns with scores, and the endings of the scores' names.
_SCORES = {"value": "", "stderr": "_stderr", "ci_low": "_ci_low", "ci_high": "_ci_high"}
#: The places at which a name is no path to a file of its own: an empty part, ``.``, ``..``, and
#: ``..`` at the beginning.
_ASTRAY = re.compile(r"^(?=\.\.)|(?<![^/])(?=\.{0,2}(?:/|\Z))")


def scores_of(rows: Iterable[Mapping[Any, Any]], above: Iterable[str]) -> dict[str, float]:
    """Return the scores of rows by ``task/metric/filter``, after the columns *above*."""
    found: dict[str, float] = {}
    columns = [*above, "task", "metric", "filter"]
    for row in rows:
        if _is_missing(row.get("value")):
            continue
        name = accepted("/".join(str(row[column]) for column in columns if row[column]))
        for column, ending in _SCORES.items():
            value = row.get(column)
            if value is not None and not _is_missing(value):
                found[name + ending] = float(value)
    return found


def _is_missing(value: Any) -> bool:
    return value is None or math.isnan(value)


def is_path(name: str) -> bool:
    """Whether a name is a path to a file of its own, as MLflow requires of metrics and tags."""
    return not _ASTRAY.search(name)


def accepted(name: str) -> str:
    """Return a name that every destination accepts; a changed name ends with a digest.

    >>> accepted("gsm8k/exact_match"), accepted("a//b")
    ('gsm8k/exact_match', 'a/_/b_7a9acf33')
    """
    fitting = _ASTRAY.sub("_", re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII))
    if fitting == name and len(name) <= 200:
        return name
    return f"{fitting[:190]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"

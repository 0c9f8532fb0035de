"""Turns pydantic's validation errors into problems, each with a place and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from snakeval.config.source import Source
from snakeval.errors import Problem


def problems(error: ValidationError, source: Source) -> list[Problem]:
    """Return a printable problem for each error, except those that follow from another one."""
    errors = _merged(error.errors(include_url=False), source)
    wrong = {e["loc"][:length] for e in errors for length in range(len(e["loc"]))}
    found = [
        _problem(item, source)
        for item in errors
        if item["type"] != "too_short" or item["loc"] not in wrong
    ]
    return [
        replace(each, problem=_readable(each.problem), where=_printable(each.where))
        for each in dict.fromkeys(found)
    ]


def _merged(errors: Iterable[ErrorDetails], source: Source) -> list[ErrorDetails]:
    """Return errors with places that the user wrote, one for each value.

    A value that may have several types has an error for each of them, at a place with a name of
    pydantic for the type. The types whose own values are wrong are closest to what was meant.
    """
    found: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for item in errors:
        found.setdefault(_written(item["loc"], source.data), []).append(item)
    merged: list[ErrorDetails] = []
    for place, items in found.items():
        has_types = any(item["loc"] != place for item in items)
        if has_types and any(place == other[: len(place)] != other for other in found):
            continue
        merged += [{**item, "loc": place} for item in (items[:1] if has_types else items)]
        wanted = dict.fromkeys(item["msg"].removeprefix("Input should be ") for item in items)
        if has_types and len(wanted) > 1:
            text = ", or ".join(wanted).replace("a valid tuple", "a list")
            merged[-1] = {**merged[-1], "type": "union", "msg": f"must be {text}"}
    return merged


def _written(loc: Sequence[int | str], data: Any) -> tuple[int | str, ...]:
    """Return a place without pydantic's names of the types that a value may have."""
    found: list[int | str] = []
    for part in loc:
        has_part = part in data if isinstance(data, Mapping) else not isinstance(part, str)
        if not has_part and _TYPE.fullmatch(str(part)):
            continue
        found.append(part)
        is_there = has_part and isinstance(data, (Mapping, list))
        data = data[part] if is_there else None
    return tuple(found)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


#: How pydantic calls a type in the place of an error.
_TYPE = re.compile(r"(str|bool|int|float|none)|(dict|list|tuple)\[.*\]|(constrained|function)-.*")
#: The most characters of a key, and a word of a message that is longer than any word of snakeval.
_KEY_LENGTH = 80
_LONG = re.compile(r"[^\s'\"]{200,}")


def _readable(text: str) -> str:
    return _LONG.sub(lambda found: _short(found[0]), _printable(text))


def _short(text: str) -> str:
    """Return *text*, or its first characters if a person would not read all of them."""
    return text if len(text) <= _KEY_LENGTH else f"{text[:_KEY_LENGTH]}…"


#: Types of errors whose message is complete. Messages of other types also quote the value.
_WHOLE = (
    "unknown", "name", "duplicate", "variable", "url", "path", "plain", "truth", "jmespath",
    "pattern_file", "one", "unservable", "lease", "walltime", "flags", "unusable",
)  # fmt: skip


def _problem(item: ErrorDetails, source: Source) -> Problem:
    loc = [part for part in item["loc"] if part != "[key]"]
    if item["type"] == "variable" and loc[-2:-1] == ["env"]:
        loc.pop()  # the last key may be the secret itself instead of its name
    key = ".".join(_short(str(part)) for part in loc)
    message, hint = item["msg"], str((item.get("ctx") or {}).get("hint") or "")
    if item["type"] == "missing":
        missing = str(loc[-1])
        owner = ".".join(str(part) for part in loc[:-1])
        message = f"'{missing}' is missing{' in ' + owner if owner else ''}"
        return Problem(message, source.origin(loc[:-1]), "add it")
    if item["type"] in {"dict_type", "model_type", "model_attributes_type"}:
        message = f"must hold keys and values, not {item['input']!r:.60}"
    elif item["type"] == "too_short":
        known = key in {"models", "benchmarks"}
        message, hint = "is empty", f"add at least one{f' of your {key}' if known else ''}"
    elif item["type"] == "tuple_type":
        message = f"must be a list, not {item['input']!r:.60}"
    elif not item["type"].startswith(_WHOLE):
        message = f"{message[0].lower()}{message[1:]} (it is {item['input']!r:.60})"
    if item["type"] == "unknown_key":
        loc.append(item["ctx"]["key"])
    origin = source.origin(loc)
    return Problem(message, f"{origin}: {key}" if key else origin, hint)

"""Turns pydantic's validation errors into one sentence for each problem."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from snakeval.config.source import Source


def sentences(error: ValidationError, source: Source) -> list[str]:
    """Return one printable line for each error, except those that follow from another one."""
    errors = error.errors(include_url=False)
    wrong = {e["loc"][:length] for e in errors for length in range(len(e["loc"]))}
    lines = [
        _sentence(item, source)
        for item in errors
        if item["type"] != "too_short" or item["loc"] not in wrong
    ]
    return [
        "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
        for line in dict.fromkeys(lines)
    ]


#: Types of errors whose message is complete. Messages of other types also quote the value.
_WHOLE = (
    "unknown", "name", "duplicate", "variable", "url", "path", "plain", "truth", "jmespath",
    "pattern_file", "one", "unservable", "lease", "walltime", "flags",
)  # fmt: skip


def _sentence(item: ErrorDetails, source: Source) -> str:
    loc = [part for part in item["loc"] if part != "[key]"]
    if item["type"] == "variable" and loc[-2:-1] == ["env"]:
        loc.pop()  # the last key may be the secret itself instead of its name
    key = ".".join(str(part) for part in loc)
    message = item["msg"]
    if item["type"] == "missing":
        missing = str(loc[-1])
        owner = ".".join(str(part) for part in loc[:-1])
        message = f"'{missing}' is missing{' in ' + owner if owner else ''}; add it"
        return f"{source.origin(loc[:-1])}: {message}"
    if item["type"] in {"dict_type", "model_type", "model_attributes_type"}:
        message = f"must hold keys and values, not {item['input']!r:.60}"
    elif item["type"] == "too_short" and key in {"models", "benchmarks"}:
        message = f"is empty; add at least one of your {key}"
    elif item["type"] == "too_short":
        message = "is empty; add at least one"
    elif item["type"] == "tuple_type":
        message = f"must be a list, not {item['input']!r:.60}"
    elif not item["type"].startswith(_WHOLE):
        message = f"{message[0].lower()}{message[1:]} (it is {item['input']!r:.60})"
    if item["type"] == "unknown_key":
        loc.append(item["ctx"]["key"])
    return f"{source.origin(loc)}: {key + ': ' if key else ''}{message}"

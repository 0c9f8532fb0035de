"""Refuses the tokens in a configuration, which snakeval would save in its home and in the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snakeval.config.source import Key, Source
from snakeval.errors import ConfigError, Problem, holds_password, holds_token, secret_in_query

#: URLs of endpoints, whose own check explains their form before anything is saved.
_URLS = (("endpoint", "url"), ("api_endpoint", "url"))
_HINT = "export it as a variable, and write the name of the variable that holds it"
#: The place of a password whose program reads variables of its own.
_HINTS = {"tracking_uri": "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"}
IN_A_HEADER = (
    "export it as a variable, and write the name of the variable as api_key_name, which sends it "
    "in the header Authorization"
)


def refuse_tokens(source: Source) -> None:
    """Raise an error for each key or value of *source* that holds a token or a password.

    Raises:
        ConfigError: the place of each, without its text.
    """
    found = []
    for key, text in _texts(source.data, ()):
        if holds_token(text):
            what = "looks like a secret"
        elif holds_password(text) and key[-2:] not in _URLS:
            what = "holds a URL with a password"
        elif parameter := secret_in_query(text):
            what = f"holds a URL with a secret in its parameter '{parameter}'"
        else:
            continue
        place = ".".join("***" if holds_token(part) else part for part in key)
        where = f"{source.origin(key)}: {place}" if key else source.origin(key)
        hint = IN_A_HEADER if key[-2:] in _URLS else _HINTS.get(key[-1] if key else "", _HINT)
        found.append(Problem(what, where, hint))
    if found:
        raise ConfigError.of(found)


def _texts(value: Any, place: Key) -> Iterator[tuple[Key, str]]:
    """Yield the place and the text of each key and each value; the place of a key is its owner."""
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(name, str):
                yield place, name
            yield from _texts(item, (*place, str(name)))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _texts(item, (*place, str(number)))
    elif isinstance(value, str):
        yield place, value

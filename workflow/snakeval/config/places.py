"""Knows the places of the configuration: its dotted keys, also those that no file sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from snakeval.config.benchmarks import Params
from snakeval.config.config import Config
from snakeval.errors import nearest


def is_known(owner: Sequence[str], rest: Sequence[str]) -> bool:
    """Whether a configuration may have *rest*, a path of names, below *owner*, which exists.

    A new model or benchmark is none that is known: its name may be misspelt.

    >>> is_known(["params"], ["limit_samples"]), is_known(["params"], ["num_fewshot"])
    (True, False)
    >>> is_known(["models"], ["llama"]), is_known(["models", "llama"], ["endpoint"])
    (False, True)
    """
    return bool(_types(rest, _types(owner, [Config]), names=False))


def suggestion(owner: Sequence[str], rest: Sequence[str]) -> str:
    """Return a question with the place that was meant by *rest* below *owner*, or nothing.

    *owner* exists, and *rest* does not belong there. A parameter that snakeval does not have may be
    one of the harness.

    >>> suggestion([], ["limit_samples"])
    'did you mean params.limit_samples?'
    >>> suggestion(["params"], ["num_fewshot"])
    'did you mean params.extra.num_fewshot?'
    """
    models = [kind for kind in _types(owner, [Config]) if _is_model(kind)]
    if not models:
        return ""
    fields = {name for model in models for name in model.model_fields}
    begun = [f"did you mean {name!r}?" for name in sorted(fields) if name.startswith(f"{rest[0]}_")]
    if close := nearest(rest[0], sorted(fields)) or next(iter(begun), ""):
        return close
    inner = ["params"] if "params" in fields else []
    if rest[0] not in Params.model_fields:
        inner.append("extra")
    if len(rest) > 1 or not (inner[:1] == ["params"] or Params in models):
        return ""
    return f"did you mean {'.'.join([*owner, *inner, *rest])}?"


def _types(path: Sequence[str], found: list[Any], *, names: bool = True) -> list[Any]:
    """Return the types that values of the types *found* may have at *path*; none if it is unknown.

    With *names*, *path* may have names of models and benchmarks.
    """
    for part in path:
        found = [below for kind in found for below in _below(kind, part, names)]
    return found


def _below(kind: Any, part: str, names: bool) -> Iterator[Any]:
    """Yield the types of the entry *part* of a value of type *kind*."""
    if _is_model(kind):
        field = kind.model_fields.get(part)
        yield from _members(field.annotation) if field is not None else ()
    elif kind is Any:
        yield Any
    elif isinstance(origin := get_origin(kind), type) and issubclass(origin, Mapping):
        members = [*_members(get_args(kind)[1])]
        yield from members if names or not any(map(_is_model, members)) else ()
    elif get_origin(kind) in (list, tuple) and part.isdecimal():
        yield from _members(get_args(kind)[0])


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation permits, without marks and None."""
    from types import UnionType
    from typing import Annotated, Union

    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _members(each)
    elif annotation is not type(None):
        yield annotation


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)

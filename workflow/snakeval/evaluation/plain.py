"""Builds dataclasses from the plain data of JSON files, and checks the type of each field.

A file may be damaged, or may be from another version. Without a check, a wrong type is an error
far from the file.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")
_Check = Callable[[Any], Any]

#: No larger integer can become a float.
_LARGEST = 2**1023


def build(kind: type[_T], data: object) -> _T:
    """Return the dataclass *kind* with the values of *data*; lists become tuples.

    Raises:
        ValueError: *data* is no mapping, or a field is missing, unknown or of another type.
    """
    return cast(_T, _builder(cast(Any, kind))(data))


def build_known(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """Return the dataclass *kind* as :func:`build` does, without the fields that it does not have.

    Other versions may add fields.

    Raises:
        ValueError: a field is missing, or of another type.
    """
    return build(kind, {name: data[name] for name in _checks(cast(Any, kind)) if name in data})


def require_types(kind: type[Any], data: Mapping[str, Any]) -> None:
    """Check the type of each value of *data* that is a field of the dataclass *kind*.

    Raises:
        ValueError: a field is of another type.
    """
    for name, check in _checks(cast(Any, kind)).items():
        if name in data:
            try:
                check(data[name])
            except ValueError as error:
                raise ValueError(f"{kind.__name__}.{name}: {error}") from None


@cache
def _checks(kind: Any) -> dict[str, _Check]:
    hints = get_type_hints(kind)
    return {each.name: _check(hints[each.name]) for each in fields(kind) if each.init}


@cache
def _builder(kind: Any) -> _Check:
    checks = _checks(kind)

    def made(data: Any) -> Any:
        if isinstance(data, kind):
            return data
        if not isinstance(data, Mapping):
            raise ValueError(f"{kind.__name__}: not keys and values")
        values = {}
        for name, value in data.items():
            if (check := checks.get(name)) is None:
                raise ValueError(f"{kind.__name__}: unknown field {name!r:.40}")
            try:
                values[name] = check(value)
            except ValueError as error:
                raise ValueError(f"{kind.__name__}.{name}: {error}") from None
        try:
            return kind(**values)
        except TypeError as error:
            raise ValueError(f"{kind.__name__}: {error}") from None

    return made


def _check(hint: Any) -> _Check:
    """Return a function that returns its argument as *hint*, or raises a ValueError."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if is_dataclass(hint):
        return _builder(cast(Any, hint))
    if origin in (Union, types.UnionType):
        return _union([_check(each) for each in inner])
    if origin is tuple:
        return _tuple(inner)
    if origin in (Mapping, dict):
        return _mapping(*map(_check, inner))
    if origin in (Sequence, list):
        return _list(_check(inner[0]))
    return _SCALARS.get(hint, _not_from_a_file)


def _union(checks: Sequence[_Check]) -> _Check:
    def check(value: Any) -> Any:
        for each in checks:
            try:
                return each(value)
            except ValueError as error:
                problem = error
        raise problem

    return check


def _tuple(inner: Sequence[Any]) -> _Check:
    if inner[1:] == (...,):
        several = _list(_check(inner[0]))
        return lambda value: tuple(several(value))
    checks = [_check(each) for each in inner]

    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(checks):
            raise ValueError(f"not {len(checks)} values")
        return tuple(check(each) for check, each in zip(checks, value, strict=True))

    return check


def _list(inner: _Check) -> _Check:
    def check(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError("not a list")
        return [inner(each) for each in value]

    return check


def _mapping(key: _Check, inner: _Check) -> _Check:
    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("not keys and values")
        return {key(name): inner(each) for name, each in value.items()}

    return check


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError("not true or false")
    return value


def _integer(value: Any) -> Any:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
        raise ValueError("not a whole number")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, int):
        return _integer(value)
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _nothing(value: Any) -> Any:
    if value is not None:
        raise ValueError("not null")
    return value


def _not_from_a_file(value: Any) -> Any:
    raise ValueError("no file holds such a value")


_SCALARS: dict[Any, _Check] = {
    str: _text,
    bool: _flag,
    int: _integer,
    float: _number,
    type(None): _nothing,
}

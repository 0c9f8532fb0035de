"""Applies overrides of the command line, in Hydra's grammar, to a configuration.

``key=value`` changes a value, or adds one that a configuration may have. ``+key=value`` adds one,
``++key=value`` changes or adds one, and ``~key`` removes one. Snakeval applies them to plain data.
They therefore mean the same in a plain file and in a composed one, and a key may contain dots
(``models.llama-3.1.endpoint.url``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakeval.config.places import is_known, suggestion
from snakeval.config.source import Key, Source
from snakeval.config.tokens import IN_A_HEADER
from snakeval.config.yaml_file import MAX_DEPTH
from snakeval.errors import ConfigError, did_you_mean, secret_in_query

#: The origin of a value that an override set.
OPTION = "-o"


@dataclass(frozen=True, slots=True)
class Change:
    """One override.

    Attributes:
        text: the override as the user wrote it.
        kind: the sign before the key: empty, ``+``, ``++`` or ``~``.
        key: the dotted key.
        value: the new value.
    """

    text: str
    kind: str
    key: str
    value: Any

    def fail(self, sentence: str) -> ConfigError:
        """Return the error of this override; *sentence* is its cause."""
        return ConfigError(f"{OPTION} {self.text}: {sentence}")


def parse(text: str) -> Change:
    """Read one override.

    Raises:
        ConfigError: it is not an override; the message explains the grammar.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType
    from hydra.errors import HydraException

    try:
        (override,) = OverridesParser.create().parse_overrides([text])
        if not override.key_or_group:
            raise ValueError("no key")
        if override.is_sweep_override():
            raise ConfigError(
                f"{OPTION} {text}: has several values; write a list as key=[a,b], or a text "
                "with a comma as \"key='a,b'\""
            )
        value = override.value()
        if text.count("[") + text.count("{") > MAX_DEPTH and is_deep(value):
            raise RecursionError
    except RecursionError:
        raise ConfigError(
            f"{OPTION} {text:.60}…: nested deeper than {MAX_DEPTH} levels; flatten it"
        ) from None
    except (HydraException, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        if parameter := secret_in_query(text):
            raise ConfigError(
                f"holds a URL with a secret in its parameter '{parameter}'",
                where=f"{OPTION} {text.partition('=')[0]}",
                hint=IN_A_HEADER,
            ) from None
        raise ConfigError(
            f"{OPTION} {text}: is not an override; write key=value, +key=value, ++key=value or "
            "~key, and quote spaces and brackets, as \"key='some text'\""
        ) from None
    kinds = {OverrideType.ADD: "+", OverrideType.FORCE_ADD: "++", OverrideType.DEL: "~"}
    key = override.key_or_group
    if override.package is not None:
        key += f"@{override.package}"
    # Only the choice of a group has a package, which Hydra splits from the key.
    change = Change(text, kinds.get(override.type, ""), key, value)
    if key == "defaults":
        raise change.fail(
            "`defaults` has an effect only in a file; write it there, or choose a file of a group "
            "with -o GROUP=NAME"
        )
    return change


def is_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether *value* nests deeper than *levels*, as no file may."""
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return False
    return levels == 0 or any(is_deep(item, levels - 1) for item in items)


def apply(changes: Sequence[Change], source: Source) -> None:
    """Apply the overrides to *source* in order, and record them as origins of their keys.

    Raises:
        ConfigError: a key is missing, or exists already; the message suggests an override.
    """
    for change in changes:
        found, missing = _locate(source.data, change.key.split("."))
        if change.kind == "~":
            _take_away(source, change, found, missing)
        elif missing and not change.kind and not is_known(found, missing):
            raise _no_such_key(source, change, found, missing)
        else:
            _put(source, change, found, missing)


def _take_away(source: Source, change: Change, found: Key, missing: Sequence[str]) -> None:
    if missing:
        raise _no_such_key(source, change, found, missing)
    holder = _at(source.data, found[:-1])
    if isinstance(holder, list):
        del holder[int(found[-1])]
    else:
        del holder[_own_key(holder, found[-1])]


def _put(source: Source, change: Change, found: Key, missing: Sequence[str]) -> None:
    value = change.value
    present = _at(source.data, found)
    whole = isinstance(value, (dict, list))
    if change.kind == "+" and not missing and present is not None and not whole:
        raise change.fail(
            f"{'.'.join(found)} exists already; to change it write "
            f"{OPTION} {change.text.lstrip('+')}"
        )
    for part in reversed(missing):
        value = {part: value}
    if isinstance(value, dict) and isinstance(present, dict):
        _merge(present, value)
    elif missing and present is not None:
        raise change.fail(f"{'.'.join(found)} is {present!r:.60}, which has no keys")
    else:
        holder = _at(source.data, found[:-1])
        holder[int(found[-1]) if isinstance(holder, list) else _own_key(holder, found[-1])] = value
    place = (*found, *missing)
    for path in paths(change.value, place):
        source.origins[path] = OPTION
        source.bases[path] = Path.cwd()


def _no_such_key(source: Source, change: Change, found: Key, missing: Sequence[str]) -> ConfigError:
    holder = _at(source.data, found)
    where = ".".join(found) or " + ".join(source.files)
    if isinstance(holder, list):
        return change.fail(
            f"{where} has no '{missing[0]}'; choose one of its {len(holder)} items by number, "
            "from 0, or by `name`"
        )
    known = [str(key) for key in holder] if isinstance(holder, dict) else []
    hint = did_you_mean(missing[0], known)
    if change.kind == "~":
        return change.fail(f"no key '{missing[0]}' in {where}{hint or '; remove the override'}")
    if "models" in source.data:
        place, rest = list(found), list(missing)
        # A section that no file sets may be right, and a name below it wrong.
        while len(rest) > 1 and is_known(place, rest[:1]):
            place.append(rest.pop(0))
        if close := suggestion(place, rest):
            return change.fail(f"no key '{rest[0]}' in {'.'.join(place) or where}; {close}")
    add = f"{hint} To" if hint else "; to"
    return change.fail(
        f"no key '{missing[0]}' in {where}{add} add it write {OPTION} +{change.text}"
    )


def _locate(data: Any, parts: Sequence[str]) -> tuple[Key, tuple[str, ...]]:
    """Return the existing keys of a dotted key, and the parts that are missing.

    A key may itself contain dots (``models.llama-3.1.endpoint``). A part selects an item of a list
    by number, by ``name``, or by the part of ``name`` after a dot.
    """
    found: list[str] = []
    rest = list(parts)
    while rest:
        for length in range(len(rest), 0, -1):
            name = ".".join(rest[:length])
            key = _key_of(data, name)
            if key is not None:
                found.append(key)
                data = data[int(key)] if isinstance(data, list) else data[_own_key(data, key)]
                del rest[:length]
                break
        else:
            break
    return tuple(found), tuple(rest)


def _key_of(data: Any, name: str) -> str | None:
    if isinstance(data, dict):
        return name if any(str(key) == name for key in data) else None
    if not isinstance(data, list):
        return None
    if name.isdecimal():
        return name if int(name) < len(data) else None
    names = [str(item.get("name")) if isinstance(item, dict) else "" for item in data]
    fitting = [i for i, own in enumerate(names) if own == name] or [
        i for i, own in enumerate(names) if own.endswith(f".{name}")
    ]
    return str(fitting[0]) if len(fitting) == 1 else None


def _own_key(data: Mapping[Any, Any], name: str) -> Any:
    """Return the key that reads as *name*; YAML reads some keys as numbers."""
    return next((key for key in data if str(key) == name), name)


def _at(data: Any, key: Key) -> Any:
    for part in key:
        data = data[int(part)] if isinstance(data, list) else data[_own_key(data, part)]
    return data


def _merge(target: dict[Any, Any], layer: Mapping[Any, Any]) -> None:
    for name, value in layer.items():
        key = _own_key(target, str(name))
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def unshared(value: Any) -> Any:
    """Return a copy without the shared parts that YAML's aliases produce, to change them safely."""
    if isinstance(value, dict):
        return {key: unshared(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unshared(item) for item in value]
    return value


def paths(value: Any, place: Key = ()) -> Iterator[Key]:
    """Yield every key of a nested mapping, and *place* itself."""
    if place:
        yield place
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from paths(item, (*place, str(name)))

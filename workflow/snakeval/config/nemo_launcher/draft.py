"""Collects the translated configuration, and the errors, while snakeval reads the launcher's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.execution import is_section
from snakeval.config.overrides import paths, unshared
from snakeval.config.source import Key, Source
from snakeval.config.types import looks_secret
from snakeval.errors import ConfigError, did_you_mean

#: The launcher's top-level keys, except ``config`` and ``export``, which both shapes have.
SECTIONS = frozenset(
    {"execution", "deployment", "target", "evaluation", "env_vars", "auxiliary_deployments"}
)
_OURS = frozenset(Config.model_fields)
#: The sections that only the launcher's shape has.
THEIRS = SECTIONS - _OURS
#: The end of a name whose value is secret, so that a literal is a mistake.
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def fit(name: str) -> str:
    """Replace the characters of *name* that a path should not contain.

    >>> fit("meta/llama-3.1-8b-instruct")
    'meta-llama-3.1-8b-instruct'
    """
    fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64].rstrip("-._")
    return fitting or "model"


def in_shape(data: Mapping[str, Any]) -> bool:
    """Return whether *data* is in the launcher's shape. Both shapes have ``execution``."""
    execution = data.get("execution")
    keys = execution.keys() if isinstance(execution, Mapping) else set()
    return not THEIRS.isdisjoint(data) or not all(map(is_section, keys))


def says(value: Any) -> bool:
    """Return whether a value requests something: not null, not empty, nor a mapping of such."""
    if isinstance(value, Mapping):
        return any(says(item) for item in value.values())
    return value is not None and value != [] and value != ""


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Expand dotted keys: ``{"config.params.top_p": 1}`` becomes three nested mappings."""
    nested: dict[str, Any] = {}
    for name, value in dotted.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        merge(nested, value)
    return nested


def merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Merge *layer* into *target*, key by key."""
    for name, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(name), dict):
            merge(target[name], value)
        else:
            target[name] = unshared(value)


@dataclass
class Variables:
    """The environment variables of a container.

    Attributes:
        names: name in the container -> name on the host.
        values: name in the container -> a literal value, which must not be secret.
    """

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether the container has a variable *name*."""
        return name in self.names or name in self.values

    def update(self, other: Variables) -> None:
        """Add the variables of *other*, which override equal names."""
        for name in (*other.names, *other.values):
            self.names.pop(name, None)
            self.values.pop(name, None)
        self.names.update(other.names)
        self.values.update(other.values)


class Draft:
    """The translation of *source* so far, and the problems found in it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data: dict[str, Any] = {}
        self._origins: dict[Key, str] = {}
        self._bases: dict[Key, Path] = {}
        self._problems: list[str] = []
        #: One line for each difference between the launcher and this translation.
        self.notes: list[str] = []

    def source_of_ours(self) -> Source:
        """Return the translated configuration.

        Raises:
            ConfigError: all the problems, one on each line.
        """
        if self._problems:
            raise ConfigError("\n".join(dict.fromkeys(self._problems)))
        return Source(self.data, self._origins, self._bases, self.source.files)

    # --- reading --------------------------------------------------------------------------

    def section(self, *key: str) -> dict[str, Any]:
        """Return the mapping at *key* of the source; it is empty if the source has none."""
        value: Any = self.source.data
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        return self.mapping(value, key)

    def mapping(self, value: Any, key: Key) -> dict[str, Any]:
        """Return *value* as a mapping; null is an empty one, and any other type is an error."""
        if value is not None and not isinstance(value, Mapping):
            self.refuse(key, f"must hold keys and values, not {value!r:.60}")
            return {}
        return {str(name): item for name, item in (value or {}).items()}

    def items(self, value: Any, key: Key) -> list[Any]:
        """Return *value* as a list; null is an empty one, and any other type is an error."""
        if value is not None and not isinstance(value, list):
            self.refuse(key, f"must be a list, not {value!r:.60}")
            return []
        return list(value or ())

    def variables(self, values: Mapping[str, Any], key: Key) -> Variables:
        """Read ``host:NAME``, ``runtime:NAME``, a bare NAME, and ``lit:VALUE``."""
        found = Variables()
        for name, raw in values.items():
            # The documentation has both host:NAME and $host:NAME.
            text = raw.removeprefix("$") if isinstance(raw, str) else ""
            prefix, _, rest = text.partition(":")
            if looks_secret(rest or text):
                self.refuse(
                    (*key, name),
                    "looks like a secret; write the name of the variable that holds it",
                )
                continue
            if prefix == "lit" and rest and _SECRET_NAME.search(str(name)):
                self.refuse(
                    (*key, name), "would be saved in the run; export the variable, write host:NAME"
                )
            elif prefix == "lit" and (rest or text == "lit:"):
                found.values[name] = rest
            elif prefix in ("host", "runtime") and _VARIABLE.fullmatch(rest):
                found.names[name] = rest
            elif _VARIABLE.fullmatch(text):
                found.names[name] = text
            else:
                # The message omits the value, which may be the secret itself.
                self.refuse(
                    (*key, name),
                    "does not name a variable; write host:NAME, or lit:VALUE",
                )
        return found

    # --- writing --------------------------------------------------------------------------

    def refuse(self, key: Key, sentence: str) -> None:
        """Record an error: a key of the source is wrong or not supported."""
        self._problems.append(f"{self.source.origin(key)}: {'.'.join(key)}: {sentence}")

    def note(self, key: Key, sentence: str) -> None:
        """Record a difference between the launcher and snakeval that concerns *key*."""
        note = f"{'.'.join(key)}: {sentence}"
        if note not in self.notes:
            self.notes.append(note)

    def only(self, key: Key, data: Mapping[str, Any], known: Iterable[str]) -> None:
        """Record an error for each key that is not in *known*; suggest the nearest one."""
        names = sorted(known)
        for name in data:
            if name not in names:
                hint = did_you_mean(name, names) or f"; choose one of {', '.join(names)}"
                self.refuse((*key, name), f"unknown key '{name}'{hint}")

    def put(self, key: Key, value: Any, said: Key) -> None:
        """Set a key of snakeval's shape.

        Errors name *said*, the source's key. Relative paths start at that key's file.
        """
        data = self.data
        for part in key[:-1]:
            if not isinstance(data.get(part), dict):
                data[part] = {}
            data = data[part]
        data[key[-1]] = unshared(value)
        for path in paths(value, key):
            self._origins[path] = f"{self.source.origin(said)} ({'.'.join(said)})"
            self._bases[path] = self.source.base(said)

    def layer(self, key: Key, value: Any, said: Key) -> None:
        """Set a key of snakeval's shape, and merge a mapping key by key into the present one."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                self.layer((*key, str(name)), item, said)
        else:
            self.put(key, value, said)

    def take_ours(self) -> None:
        """Copy the keys of snakeval's shape; a key that is in neither shape is an error."""
        self.only((), self.source.data, {*_OURS, *SECTIONS, "config"})
        for name in _OURS.intersection(self.source.data):
            value = self.source.data[name]
            if name == "execution" and isinstance(value, Mapping):
                # Both shapes have this section, and one file may mix their keys.
                value = {key: item for key, item in value.items() if is_section(key)}
                if not value:
                    continue
            self.data[name] = unshared(value)
            for path in paths(value, (name,)):
                self._origins[path] = self.source.origin(path)
                self._bases[path] = self.source.base(path)
        if isinstance(self.data.get("benchmarks"), list) and in_shape(self.source.data):
            self.data["benchmarks"] = {str(name): {} for name in self.data["benchmarks"]}

"""A configuration of ours while it is made from one in the launcher's shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.execution import Execution
from snakeval.config.overrides import paths, unshared
from snakeval.config.source import Key, Source
from snakeval.errors import ConfigError, did_you_mean

#: The top-level keys of the launcher's shape, but those that may stand in ours, too: ``config``
#: and ``export``.
SECTIONS = frozenset(
    {"execution", "deployment", "target", "evaluation", "env_vars", "auxiliary_deployments"}
)
#: Those that are refused, and why.
_REFUSED = {
    "auxiliary_deployments": "is not supported in this shape; write our `auxiliary` beside it "
    "(docs/deployments.md#auxiliary-models)",
}
_OURS = frozenset(Config.model_fields)
#: The sections that a configuration of ours has not.
THEIRS = SECTIONS - _OURS
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def fit(name: str) -> str:
    """Return *name* as a name fit for a path.

    >>> fit("meta/llama-3.1-8b-instruct")
    'meta-llama-3.1-8b-instruct'
    """
    fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64].rstrip("-._")
    return fitting or "model"


def in_shape(data: Mapping[str, Any]) -> bool:
    """Whether *data* is in the launcher's shape. ``execution`` alone may be ours."""
    execution = data.get("execution")
    keys = execution.keys() if isinstance(execution, Mapping) else set()
    return not THEIRS.isdisjoint(data) or not Execution.model_fields.keys() >= keys


def says(value: Any) -> bool:
    """Whether a value is a wish: null, nothing, and a mapping of such are none."""
    if isinstance(value, Mapping):
        return any(says(item) for item in value.values())
    return value is not None and value != [] and value != ""


@dataclass
class Variables:
    """Variables of a container: name there -> name here; and values that anybody may see."""

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def update(self, other: Variables) -> None:
        """Take over those of *other*, which are stronger."""
        self.names.update(other.names)
        self.values.update(other.values)


class Draft:
    """What is made of *source*, and the problems that were met on the way."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data: dict[str, Any] = {}
        self._origins: dict[Key, str] = {}
        self._bases: dict[Key, Path] = {}
        self._problems: list[str] = []

    def source_of_ours(self) -> Source:
        """Return what was made.

        Raises:
            ConfigError: all the problems, a line each.
        """
        if self._problems:
            raise ConfigError("\n".join(dict.fromkeys(self._problems)))
        return Source(self.data, self._origins, self._bases, self.source.files)

    # --- reading --------------------------------------------------------------------------

    def section(self, *key: str) -> dict[str, Any]:
        """The mapping at *key* of the source, empty where there is none."""
        value: Any = self.source.data
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        return self.mapping(value, key)

    def mapping(self, value: Any, key: Key) -> dict[str, Any]:
        """Return *value* as a mapping; anything but null that is none is refused."""
        if value is not None and not isinstance(value, Mapping):
            self.refuse(key, f"must hold keys and values, not {value!r:.60}")
            return {}
        return {str(name): item for name, item in (value or {}).items()}

    def variables(self, values: Mapping[str, Any], key: Key, *, literals: bool) -> Variables:
        """Read ``host:NAME``, ``runtime:NAME``, a bare NAME, and ``lit:VALUE`` if *literals*."""
        found = Variables()
        for name, raw in values.items():
            # The documentation has both host:NAME and $host:NAME.
            text = raw.removeprefix("$") if isinstance(raw, str) else ""
            prefix, _, rest = text.partition(":")
            if prefix == "lit" and rest and not literals:
                self.refuse(
                    (*key, name),
                    "is lit:, and a harness gets variables of yours only; export it: host:NAME",
                )
            elif prefix == "lit" and rest:
                found.values[name] = rest
            elif prefix in ("host", "runtime") and _VARIABLE.fullmatch(rest):
                found.names[name] = rest
            elif _VARIABLE.fullmatch(text):
                found.names[name] = text
            else:
                # The value is not repeated: it may be the secret itself.
                self.refuse(
                    (*key, name),
                    "names no variable; write host:NAME"
                    + (", or lit:VALUE for what anybody may see" if literals else ""),
                )
        return found

    # --- writing --------------------------------------------------------------------------

    def refuse(self, key: Key, sentence: str) -> None:
        """Note that a key of the source is wrong or not supported."""
        self._problems.append(f"{self.source.origin(key)}: {'.'.join(key)}: {sentence}")

    def only(self, key: Key, data: Mapping[str, Any], known: Iterable[str]) -> None:
        """Refuse what is not known, with the nearest that is."""
        names = sorted(known)
        for name in data:
            if name not in names:
                hint = did_you_mean(name, names) or f"; known are {', '.join(names)}"
                self.refuse((*key, name), f"unknown key '{name}'{hint}")

    def put(self, key: Key, value: Any, said: Key) -> None:
        """Set a key of ours; *said* is the source's key, for errors and for relative paths."""
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
        """Set a key of ours; a mapping key by key, over what is there."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                self.layer((*key, str(name)), item, said)
        else:
            self.put(key, value, said)

    def take_ours(self) -> None:
        """Take over what stands in our own shape, and refuse what is in neither."""
        self.only((), self.source.data, {*_OURS, *SECTIONS, "config"})
        for name in _OURS.intersection(self.source.data):
            value = self.source.data[name]
            if name == "execution" and isinstance(value, Mapping):
                # The launcher has a section of this name, too; beside its keys ours may stand.
                value = {key: item for key, item in value.items() if key in Execution.model_fields}
                if not value:
                    continue
            self.data[name] = unshared(value)
            for path in paths(value, (name,)):
                self._origins[path] = self.source.origin(path)
                self._bases[path] = self.source.base(path)
        if isinstance(self.data.get("benchmarks"), list) and in_shape(self.source.data):
            self.data["benchmarks"] = {str(name): {} for name in self.data["benchmarks"]}
        for name, sentence in _REFUSED.items():
            if says(self.source.data.get(name)):
                self.refuse((name,), sentence)

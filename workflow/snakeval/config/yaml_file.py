"""Reads one YAML file strictly: duplicate keys and alias bombs are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from snakeval.errors import ConfigError
from snakeval.files import DAMAGE

#: A file that expands to more values than this counts as an alias bomb. A real matrix of 1,000
#: models and 1,000 benchmarks has about 20,000.
MAX_VALUES = 1_000_000

#: A file that nests deeper than this is an error.
MAX_DEPTH = 50


class Loader(yaml.SafeLoader):
    """YAML's safe loader, in which a duplicate key of a mapping is an error."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value; the error of an impossible one (2026-99-99, half a surrogate) has a line.

        Raises:
            ConstructorError: the value is impossible.
        """
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()
                if "\0" in value:
                    raise ValueError("a NUL character")
        except DAMAGE as error:  # an empty !!int raises IndexError, and !!timestamp foo others
            said = isinstance(error, ValueError)
            why = f"cannot be read ({error})" if said else f"is no !!{node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(
                None, None, f"a value {why}; correct it", node.start_mark
            ) from None
        return value


class _Dumper(yaml.SafeDumper):
    """YAML's safe dumper, which quotes the texts that :class:`Loader` would read as numbers."""


#: A number of YAML 1.2 with an exponent. PyYAML, of YAML 1.1, requires a dot and a sign in it.
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
_FLOAT = "tag:yaml.org,2002:float"
Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))
_Dumper.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def as_mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """Build a mapping and reject duplicate keys."""
    seen: dict[Any, yaml.Mark] = {}
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        if key_node.tag == _FLOAT and _EXPONENT.match(key_node.value):
            key_node.tag = "tag:yaml.org,2002:str"  # a name, such as 1e3
        key = loader.construct_object(key_node, deep=True)
        try:
            first = seen.setdefault(key, key_node.start_mark)
        except TypeError:
            raise yaml.constructor.ConstructorError(
                None, None, "a mapping cannot be a key", key_node.start_mark
            ) from None
        if first is not key_node.start_mark:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"duplicate key '{key}' (first in line {first.line + 1}); rename or remove one",
                key_node.start_mark,
            )
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def read(path: Path, name: str | None = None) -> dict[str, Any]:
    """Read one YAML file whose top level is a mapping.

    Messages call the file *name* (its path as the user wrote it).

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, is not YAML (tabs, syntax, a duplicate
            key), is not a mapping, or expands to more than a million values.
    """
    name = name or str(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file; check the path") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a directory; choose a YAML file in it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); check the file") from None
    try:
        data = yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        problem = error.problem or "not valid YAML"
        if "\\t" in problem:
            problem = "a tab is used for indentation; use spaces"
        elif "recursive" in problem:
            problem = "an alias refers to itself; write the value out"
        elif "constructor for the tag" in problem:
            problem = f"unknown tag {problem.rpartition('tag ')[2]}; write plain YAML"
        elif "another document" in problem:
            problem = "a second document starts here; move it to its own file"
        raise ConfigError(f"{where}: {problem}") from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{name}: not valid YAML ({problem}); correct it") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply; flatten it") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: must hold keys and values, not a {type(data).__name__}")
    _refuse_bomb(data, name)
    return data


def written(value: Any, **layout: Any) -> str:
    """Return the YAML text of plain data, in which texts that look like numbers have quotes."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **layout)
    return text


def value_of(text: str) -> Any:
    """Return the value of a text that the user wrote on a command line.

    Raises:
        ConfigError: it is no YAML.
    """
    try:
        return yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{text:.60}: not valid YAML ({problem}); correct it") from None


def _refuse_bomb(data: dict[str, Any], name: str) -> None:
    """Count the values that the aliases expand to, without expanding them."""
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ConfigError(f"{name}: nested deeper than {MAX_DEPTH} levels; flatten it")
        if not isinstance(node, (dict, list)):
            return 1
        if id(node) not in sizes:
            children = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1  # an alias to itself ends at the maximum depth
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in children)
        return sizes[id(node)]

    if size(data, 0) > MAX_VALUES:
        raise ConfigError(
            f"{name}: its YAML aliases expand to more than {MAX_VALUES:,} values; "
            "write the values out, without nested aliases"
        )

"""Reads one YAML file strictly: duplicate keys and alias bombs are errors."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from snakeval.errors import ConfigError
from snakeval.files import DAMAGE
from snakeval.ledger.plain_text import visible

#: A file that expands to more values than this counts as an alias bomb. A real matrix of 1,000
#: models and 1,000 benchmarks has about 20,000.
MAX_VALUES = 1_000_000
#: How many characters of a text count as a value.
_CHARACTERS = 10

#: A file that nests deeper than this is an error.
MAX_DEPTH = 50


#: A time, which is a text in YAML 1.2 and a number of base 60 in YAML 1.1.
_SEXAGESIMAL = re.compile(r"\d+(:[0-5]?\d)+")


if TYPE_CHECKING:
    _Constructor = yaml.SafeLoader
else:
    _Constructor = yaml.constructor.SafeConstructor


class _Strict(_Constructor):
    """Builds the values of YAML's safe loaders; a duplicate key of a mapping is an error.

    Attributes:
        doubtful: the texts that YAML 1.2 reads as numbers and that no type of snakeval checks.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.doubtful: list[yaml.ScalarNode] = []

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value; the error of an impossible one (2026-99-99, half a surrogate) has a line.

        Raises:
            ConstructorError: the value is impossible.
        """
        if isinstance(node, yaml.ScalarNode) and _SEXAGESIMAL.fullmatch(node.value):
            return node.value  # YAML 1.1 reads 4:00:00 as 14400
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


class Loader(_Strict, yaml.SafeLoader):
    """Reads YAML and finds the words and the place of an error."""


# mypy takes no class as a base that is chosen as the module loads.
class _QuickLoader(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML ten times as fast, with a parser in C if PyYAML has one."""


class _Dumper(yaml.SafeDumper):
    """YAML's safe dumper, which quotes the texts that YAML 1.2 would read as numbers.

    A text with hidden characters, such as one that changes its direction, is in ASCII with escapes:
    a dry run prints it, and it loads as the same.
    """

    def analyze_scalar(self, scalar: str) -> Any:
        """Return the styles that a text may have; hidden characters require double quotes."""
        analysis = super().analyze_scalar(scalar)
        if visible(scalar) != scalar:
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        """Write a text; escape all that is not ASCII if it has hidden characters."""
        before, self.allow_unicode = self.allow_unicode, visible(text) == text
        super().write_double_quoted(text, split)
        self.allow_unicode = before


#: A number of YAML 1.2 with an exponent. PyYAML, of YAML 1.1, requires a dot and a sign in it.
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
#: The key of values that reach a harness with the type that the file gives them.
_UNTYPED = "extra"


def as_mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    """Build a mapping and reject duplicate keys."""
    seen: dict[Any, yaml.Mark] = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
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
        if isinstance(key, str) and _UNTYPED in key.split("."):
            loader.doubtful += _exponents(value_node, set())
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, as_mapping)


def _exponents(node: yaml.Node, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    """Yield the scalars below *node*, without quotes, that are numbers in YAML 1.2 only."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        is_text = not node.style and node.tag == yaml.resolver.Resolver.DEFAULT_SCALAR_TAG
        if is_text and _EXPONENT.match(node.value):
            yield node
    elif isinstance(node, yaml.CollectionNode):
        for child in node.value:
            yield from _exponents(child[1] if isinstance(child, tuple) else child, seen)


def _loaded(text: str, *, checked: bool = True) -> Any:
    """Return the value of a YAML text.

    Raises:
        YAMLError, RecursionError: it is no YAML, or *checked* finds a text that may be a number.
    """
    try:
        return _loaded_by(_QuickLoader(text), checked=checked)
    except yaml.YAMLError:
        return _loaded_by(Loader(text), checked=checked)


def _loaded_by(loader: _Strict, *, checked: bool) -> Any:
    try:
        data = loader.get_single_data()
        composed_by_hydra = isinstance(data, dict) and "defaults" in data
        if checked and loader.doubtful and not composed_by_hydra:
            node = loader.doubtful[0]
            number = float(node.value)
            is_finite = math.isfinite(number)
            plain = yaml.safe_dump(number).split("\n")[0] if is_finite else "a finite number"
            raise yaml.MarkedYAMLError(
                problem=f"{node.value} is a text in YAML 1.1; write {plain}, or "
                f"'{node.value}' for the text",
                problem_mark=node.start_mark,
            )
        return data
    finally:
        loader.dispose()


def is_file_or_link(path: Path) -> bool:
    """Whether *path* is a file, or a link whose file is missing."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def dangling(path: Path) -> str:
    """Return the problem of a link to a missing file; empty if *path* is no link."""
    if not path.is_symlink():
        return ""
    return f"is a link to {path.readlink()}, which does not exist; correct the link"


def read(path: Path, name: str | None = None, *, checked: bool = True) -> dict[str, Any]:
    """Read one YAML file whose top level is a mapping.

    Messages call the file *name* (its path as the user wrote it). *checked* is for a file that a
    person wrote: texts in ``extra`` that YAML 1.2 reads as numbers are errors. Hydra, which reads
    files with ``defaults``, reads them as numbers.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, is not YAML (tabs, syntax, a duplicate
            key), is not a mapping, or expands to more than a million values.
    """
    name = name or str(path)
    # Perhaps nothing ever writes to a named pipe. The shell ends its own, as of <(command).
    if path.is_fifo() and not os.path.realpath(path).startswith("/proc/"):
        raise ConfigError(f"{name}: is a pipe; choose a YAML file")
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name}: {dangling(path) or 'no such file; check the path'}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a directory; choose a YAML file in it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror}); check the file") from None
    try:
        data = _loaded(text, checked=checked)
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
        return _loaded(text)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{text:.60}: {error.problem or 'not valid YAML'}") from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{text:.60}: not valid YAML ({problem}); correct it") from None


def _refuse_bomb(data: dict[str, Any], name: str) -> None:
    """Count the values and texts that the aliases expand to, without expanding them."""
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ConfigError(f"{name}: nested deeper than {MAX_DEPTH} levels; flatten it")
        if not isinstance(node, (dict, list)):
            return 1 + len(node) // _CHARACTERS if isinstance(node, str) else 1
        if id(node) not in sizes:
            children = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1  # an alias to itself ends at the maximum depth
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in children)
        return sizes[id(node)]

    if size(data, 0) > MAX_VALUES:
        raise ConfigError(
            f"{name}: its values, with YAML aliases expanded, are more than {MAX_VALUES:,} or "
            f"{_CHARACTERS * MAX_VALUES // 10**6} MB of text; write fewer, without nested aliases"
        )

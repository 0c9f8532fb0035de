"""Exporters send a run's results elsewhere. Each is a class with the names of :class:`Exporter`.

A package adds one with the entry-point group ``snakeval.exporters``.
A vendor's library is imported when results are sent, never to find or to check an exporter: the
command and the head of a run do both.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, cast

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError

from snakeval.catalogue import plugins
from snakeval.config.types import Strict
from snakeval.errors import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from snakeval.exporters.package import Package

_PASSWORD = re.compile(r"//[^/@\s]+@")


class ExportError(RuntimeError):
    """Something did not arrive. The message is the reason that people see, in one line.

    Attributes:
        passing: the reason may pass (no network, a quota): it is tried again.
    """

    def __init__(self, reason: object, *, passing: bool = False) -> None:
        line = " ".join(str(reason).split())
        super().__init__(_PASSWORD.sub("//…@", line)[:500])
        self.passing = passing


def _listed(value: object) -> object:
    """A text from the command line is a list, parted by commas."""
    return value.split(",") if isinstance(value, str) else value


def _tags(value: object) -> object:
    """A list of tags, or a text of them, is a mapping of each to nothing."""
    value = _listed(value)
    if isinstance(value, (list, tuple)) and all(isinstance(tag, str) for tag in value):
        return dict.fromkeys(value, "")
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Options(Strict):
    """What every destination can be told. An exporter's own options are a class below this one."""

    per: Literal["run", "evaluation"] = Field(
        default="run", description="what becomes one entry there"
    )
    metrics: Words = Field(default=("*",), description="patterns of the metrics that are sent")
    artifacts: Words = Field(default=(), description="patterns of files to send along")
    tags: Annotated[dict[str, str], BeforeValidator(_tags)] = Field(default_factory=dict)
    attempts: PositiveInt = Field(default=7, description="tries, a minute in all by default")


class Exporter(Protocol):
    """A destination. It is made with its options, which are an instance of ``OPTIONS``.

    What it is made with is checked at the start of a run, so making it asks nobody anything.
    ``open`` and ``send`` raise :class:`ExportError`, are called again where its reason may pass,
    and so must make nothing twice: a package's ``key`` is the same each time.
    """

    OPTIONS: ClassVar[type[Options]]

    @property
    def options(self) -> Options:
        """What it was made with."""

    def __init__(self, options: Any) -> None:
        """Take the options.

        Raises:
            ConfigError: an option is wrong, or a library is not installed.
        """

    def open(self) -> None:
        """Reach the destination, with credentials of the environment only."""

    def send(self, package: Package) -> Sequence[str]:
        """Make what is there equal to *package*; return where that is, a line each."""

    def close(self) -> None:
        """Write out what is left, and let go of what ``open`` took."""


def names() -> list[str]:
    """Return the destinations that there are, built-in ones first."""
    return plugins.names(plugins.EXPORTERS)


def find(name: str, values: Mapping[str, Any]) -> Exporter:
    """Return the exporter *name* with the options *values*.

    Raises:
        ConfigError: there is no such destination, it cannot be imported, or an option is wrong;
            the message begins with the destination's name, or the option's.
    """
    made = _class(name)
    try:
        options = made.OPTIONS.model_validate(dict(values))
    except ValidationError as error:
        found = (_problem(name, item) for item in error.errors(include_url=False))
        raise ConfigError.of(found) from None
    try:
        return made(options)
    except ConfigError as error:
        raise error.within(name) from None


def _class(name: str) -> type[Exporter]:
    try:
        return cast(type[Exporter], plugins.load(plugins.EXPORTERS, name))
    except plugins.UnknownPlugin:
        hint = nearest(name, names()) or f"there are {', '.join(names())}"
        raise ConfigError("no such destination", where=name, hint=hint) from None


def _problem(name: str, item: Any) -> Problem:
    """Return what is wrong, without the value: people paste keys here."""
    loc = [str(part) for part in item["loc"] if part != "[key]"]
    message: str = item["msg"]
    if item["type"] == "missing":
        return Problem(f"'{'.'.join(loc)}' is missing", name, "add it")
    if item["type"] == "unknown_key":
        loc.append(str(item["ctx"]["key"]))
    hint = str((item.get("ctx") or {}).get("hint") or "")
    return Problem(f"{message[0].lower()}{message[1:]}", ".".join([name, *loc]), hint)


def configured(destinations: Mapping[str, Mapping[str, Any]]) -> dict[str, Exporter]:
    """Return the exporters of the section ``export`` of a configuration.

    Raises:
        ConfigError: one line for each thing that is wrong.
    """
    found: dict[str, Exporter] = {}
    problems = []
    for name, values in destinations.items():
        try:
            found[name] = find(name, values)
        except ConfigError as error:
            problems += [problem.under("export") for problem in error.problems]
    if problems:
        raise ConfigError.of(problems)
    return found


def require(library: str, extra: str, sentence: str = "") -> None:
    """Look for a library without importing it.

    Raises:
        ConfigError: it is not installed; the message names the extra that brings it.
    """
    try:
        found = importlib.util.find_spec(library) is not None
    except (ModuleNotFoundError, ValueError):  # its parent is absent; it was taken away on purpose
        found = False
    if not found:
        raise ConfigError(f"{sentence or f'needs {library}'}; pip install 'snakeval[{extra}]'")


def unreachable(error: object) -> str:
    """Return what a library says of a network: the system's own words, where they are in there.

    >>> unreachable("HTTPConnectionPool(…): …: [Errno 111] Connection refused'))")
    'it cannot be reached: [Errno 111] Connection refused'
    """
    inner = re.search(r"\[Errno -?\d+\] [^'\")\]]+", str(error))
    return f"it cannot be reached: {inner[0] if inner else error}"

"""Exporters send a run's results to other services. Each implements :class:`Exporter`.

A package adds an exporter with the entry-point group ``snakeval.exporters``.
An exporter imports a vendor's library only to send results. The command and the head of a run both
find and check exporters, and must start quickly.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, cast

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError

from snakeval import plugins
from snakeval.config.types import Strict
from snakeval.errors import ConfigError, Problem, nearest

if TYPE_CHECKING:
    from snakeval.exporters.package import Package

_PASSWORD = re.compile(r"//[^/@\s]+@")


class ExportError(RuntimeError):
    """A delivery failed. The message is the reason for the user, in one line.

    Attributes:
        passing: the cause may be temporary (no network, a quota), so snakeval retries.
    """

    def __init__(self, reason: object, *, passing: bool = False) -> None:
        line = " ".join(str(reason).split())
        super().__init__(_PASSWORD.sub("//…@", line)[:500])
        self.passing = passing


def _listed(value: object) -> object:
    """Split a text from the command line at its commas."""
    return value.split(",") if isinstance(value, str) else value


def _tags(value: object) -> object:
    """Turn a list of tags, or a text of them, into a mapping from each tag to an empty value."""
    value = _listed(value)
    if isinstance(value, (list, tuple)) and all(isinstance(tag, str) for tag in value):
        return dict.fromkeys(value, "")
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Options(Strict):
    """The options of every destination. An exporter's own options are a subclass."""

    per: Literal["run", "evaluation"] = Field(
        default="run", description="what becomes one entry at the destination"
    )
    metrics: Words = Field(default=("*",), description="patterns of the metrics to send")
    artifacts: Words = Field(default=(), description="patterns of the files to send")
    tags: Annotated[dict[str, str], BeforeValidator(_tags)] = Field(default_factory=dict)
    attempts: PositiveInt = Field(default=7, description="number of tries; 7 take about a minute")


class Exporter(Protocol):
    """A destination. Its constructor takes an instance of ``OPTIONS``.

    snakeval constructs exporters at the start of a run to check their options, so the constructor
    sends no request. ``open`` and ``send`` raise :class:`ExportError`. snakeval retries them if the
    cause may pass, so a second call must not create a second entry: a package's ``key`` is stable.
    """

    OPTIONS: ClassVar[type[Options]]

    @property
    def options(self) -> Options:
        """The options that the constructor received."""

    def __init__(self, options: Any) -> None:
        """Take the options.

        Raises:
            ConfigError: an option is wrong, or a library is not installed.
        """

    def open(self) -> None:
        """Connect to the destination, with credentials from the environment only."""

    def send(self, package: Package) -> Sequence[str]:
        """Make the entry equal to *package*; return its address, one line for each place."""

    def close(self) -> None:
        """Write pending data, and release what ``open`` acquired."""


def names() -> list[str]:
    """Return the names of all destinations, the built-in ones first."""
    return plugins.names(plugins.EXPORTERS)


def find(name: str, values: Mapping[str, Any]) -> Exporter:
    """Return the exporter *name* with the options *values*.

    Raises:
        ConfigError: the destination does not exist, cannot be imported, or has a wrong option.
            The message begins with the name of the destination or of the option.
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
    """Describe what is wrong, without the value: users paste keys here."""
    loc = [str(part) for part in item["loc"] if part != "[key]"]
    message: str = item["msg"]
    if item["type"] == "missing":
        return Problem(f"'{'.'.join(loc)}' is missing", name, "add it")
    if item["type"] == "unknown_key":
        loc.append(str(item["ctx"]["key"]))
    hint = str((item.get("ctx") or {}).get("hint") or "")
    return Problem(f"{message[0].lower()}{message[1:]}", ".".join([name, *loc]), hint)


def configured(destinations: Mapping[str, Mapping[str, Any]]) -> dict[str, Exporter]:
    """Return the exporters of a configuration's section ``export``.

    Raises:
        ConfigError: one line for each problem.
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
    """Check that a library is installed, without an import.

    Raises:
        ConfigError: the library is missing; the message names the extra that installs it.
    """
    try:
        found = importlib.util.find_spec(library) is not None
    except (ModuleNotFoundError, ValueError):  # the parent is absent, or sys.modules blocks it
        found = False
    if not found:
        raise ConfigError(f"{sentence or f'needs {library}'}; pip install 'snakeval[{extra}]'")


def unreachable(error: object) -> str:
    """Return a library's network error in the operating system's words, if it contains them.

    >>> unreachable("HTTPConnectionPool(…): …: [Errno 111] Connection refused'))")
    'it cannot be reached: [Errno 111] Connection refused'
    """
    inner = re.search(r"\[Errno -?\d+\] [^'\")\]]+", str(error))
    return f"it cannot be reached: {inner[0] if inner else error}"

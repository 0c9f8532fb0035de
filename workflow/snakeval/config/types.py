"""The kinds of fields that a configuration is made of, each with an error that says the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from snakeval.catalogue import plugins
from snakeval.errors import did_you_mean


def unknown_key(key: object, known: Collection[str]) -> PydanticCustomError:
    """Return the error for a key that is not *known*; it names the nearest that is."""
    hint = did_you_mean(str(key), known) or f"; known are {', '.join(sorted(known))}"
    return PydanticCustomError(
        "unknown_key", "unknown key '{key}'{hint}", {"key": str(key), "hint": hint}
    )


class Strict(BaseModel):
    """A frozen model in which an unknown key is an error that names the nearest key."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise unknown_key(key, cls.model_fields)
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: object, info: ValidationInfo) -> object:
        # True would pass for 1; and YAML reads a model_id of no, on or off as one.
        known = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and known is not bool:
            raise PydanticCustomError(
                "truth", "is true or false to YAML; write a value, in quotes if it is a text"
            )
        return value


class Resources(Strict):
    """What one evaluation's container may use, and what Snakemake reserves for it."""

    cpus: PositiveInt | None = Field(default=None, description="CPU limit; null = none")
    mem_mb: PositiveInt | None = Field(default=None, description="memory limit in MiB")
    shm_mb: PositiveInt | None = Field(default=None, description="size of /dev/shm in MiB")
    gpus: int = Field(default=0, ge=0, description="GPUs that the harness itself needs")
    runtime: PositiveInt | None = Field(default=None, description="minutes, for schedulers")


def env_names(value: object) -> object:
    """A list of names is a mapping of each to itself."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


class Mount(Strict):
    """A host path made visible in the harness's container. It does not enter the fingerprint."""

    source: PathText
    target: str = Field(pattern=r"^/")
    read_only: bool = True


def or_installed(kind: str) -> WrapValidator:
    """Return what makes a choice of built-in names take names of installed plugins, too."""

    def check(value: Any, choose: ValidatorFunctionWrapHandler) -> Any:
        try:
            return choose(value)
        except ValidationError:
            if isinstance(value, str) and value in plugins.installed(kind):
                return value
            raise

    return WrapValidator(check)


RuntimeName = Annotated[
    Literal["auto", "docker", "podman", "apptainer", "pyxis", "process"],
    or_installed(plugins.RUNTIMES),
]


NAME_RULE = (
    "use ASCII letters, digits, '.', '_' and '-', starting with a letter or digit, 64 at most"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
#: Names of the directories of a model's server, one for each of its allocations: see
#: :func:`snakeval.matrix.hosting.directory`.
DEPLOYMENT = re.compile(r"deployment(?:-\d+)?")
#: Names that a run keeps for itself, beside its models' directories and in them.
_RESERVED = frozenset(
    {
        "config.yaml",
        "report",
        "report.html",
        "results.csv",
        "results.json",
        "results.md",
        "run_all.sh",
        "attempts",
        "export",
    }
)


def _name(value: object) -> object:
    if value is None:
        raise PydanticCustomError("name", "is empty; write a name")
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PydanticCustomError(
            "name", "is no text to YAML, but {kind}; put the name in quotes", {"kind": kind}
        )
    if not _NAME.fullmatch(value):
        # In ASCII, so that a letter which only looks like one of the alphabet's shows.
        raise PydanticCustomError(
            "name",
            "{value} is no name fit for a path; {rule}",
            {"value": ascii(value), "rule": NAME_RULE},
        )
    if value.lower() in _RESERVED or DEPLOYMENT.fullmatch(value.lower()):
        raise PydanticCustomError(
            "name",
            "'{value}' is the name of a file of ours; rename it",
            {"value": value},
        )
    return value


def _variable(value: object) -> object:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        # The value is not repeated: people paste the key itself here.
        raise PydanticCustomError(
            "variable",
            "is no name of an environment variable; give the variable's name, never its value",
        )
    return value


def _path(value: object) -> object:
    if isinstance(value, str):
        # Snakemake takes {} for a wildcard and <> for a path variable of its own.
        unfit = [char for char in value if char in "{}<>" or not char.isprintable()]
        if unfit or not value:
            raise PydanticCustomError(
                "path",
                "{why}; name another path",
                {"why": f"cannot hold {unfit[0]!a}" if unfit else "is empty"},
            )
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise PydanticCustomError(
                "path", "begins with ~ and the name of no user; write the path out"
            ) from None
    return value


def _plain(value: object) -> object:
    """Refuse what JSON does not have: it would be lost, or differ from run to run (a set)."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PydanticCustomError(
                    "plain", "the key {key} is no text; put it in quotes", {"key": repr(key)}
                )
            _plain(value[key])
    elif isinstance(value, list):
        for item in value:
            _plain(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("plain", "must hold finite numbers only")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise PydanticCustomError(
            "plain",
            "holds a {kind}, which no harness can be handed; put the value in quotes",
            {"kind": type(value).__name__},
        )
    return value


Name = Annotated[str, BeforeValidator(_name)]
PathText = Annotated[str, BeforeValidator(_path)]
Plain = Annotated[dict[str, Any], BeforeValidator(_plain)]
Variable = Annotated[str, BeforeValidator(_variable)]

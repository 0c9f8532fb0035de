"""Defines the types of configuration fields, whose errors suggest a fix."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
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
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from snakeval import plugins
from snakeval.errors import nearest


def unknown_key(key: object, known: Collection[str], hint: str = "") -> PydanticCustomError:
    """Return the error for an unknown key; its hint is the nearest key in *known*, else *hint*."""
    hint = nearest(str(key), list(known)) or hint or f"choose one of {', '.join(sorted(known))}"
    named = {"key": str(key), "hint": hint}
    return PydanticCustomError("unknown_key", "unknown key '{key}'", named)


@dataclass(frozen=True)
class Switch:
    """Marks a field whose values ``on`` and ``off`` YAML reads as true and false."""


def _is_switch(field: FieldInfo) -> bool:
    """Whether a field is a switch, or a switch that may be null, whose mark is in the union."""
    marks = [*field.metadata, *chain(*map(get_args, get_args(field.annotation)))]
    return any(isinstance(mark, Switch) for mark in marks)


class Strict(BaseModel):
    """A frozen model in which an unknown key is an error that names the nearest key."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    #: The hint for an unknown ``{key}`` that resembles no other.
    unknown_hint: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        for key in data if isinstance(data, Mapping) else ():
            if key not in cls.model_fields:
                raise unknown_key(key, cls.model_fields, cls.unknown_hint.format(key=key))
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: object, info: ValidationInfo) -> object:
        # True would pass as 1, and YAML reads no, on and off (for example a model_id) as bool.
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool and not _is_switch(field):
            raise PydanticCustomError(
                "truth", "is true or false in YAML; write another value, or put it in quotes"
            )
        return value


class Resources(Strict):
    """The resources that an evaluation's container may use and that Snakemake reserves for it."""

    cpus: PositiveInt | None = Field(default=None, description="CPU limit; null = none")
    mem_mb: PositiveInt | None = Field(default=None, description="memory limit in MiB")
    shm_mb: PositiveInt | None = Field(default=None, description="size of /dev/shm in MiB")
    gpus: int = Field(default=0, ge=0, description="GPUs that the harness itself requires")
    runtime: PositiveInt | None = Field(default=None, description="time limit in minutes")


def env_names(value: object) -> object:
    """Turn a list of names into a mapping from each name to itself."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


class Mount(Strict):
    """A host path that a container can see. The fingerprint excludes it."""

    source: PathText
    target: str = Field(pattern=r"^/")
    read_only: bool = True


def or_installed(kind: str, noun: str, *built_in: str) -> WrapValidator:
    """Return a validator that also accepts the names of installed plugins of a kind.

    The error of an unknown name calls the thing *noun*, and suggests the nearest name.
    """

    def check(value: Any, choose: ValidatorFunctionWrapHandler) -> Any:
        try:
            return choose(value)
        except ValidationError:
            installed = plugins.installed(kind)
            if not isinstance(value, str):
                raise
            if value in installed:
                return value
        names = list(dict.fromkeys([*built_in, *sorted(installed)]))
        hint = nearest(value, names) or f"choose one of {', '.join(names)}"
        raise PydanticCustomError(
            "unknown_name", "no {noun} '{name}'", {"noun": noun, "name": value[:60], "hint": hint}
        )

    return WrapValidator(check)


_Runtime = Literal["auto", "docker", "podman", "apptainer", "pyxis", "process"]
RuntimeName = Annotated[_Runtime, or_installed(plugins.RUNTIMES, "runtime", *get_args(_Runtime))]


_RULE = "use ASCII letters, digits, '.', '_' and '-', starting with a letter or digit, 64 at most"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
#: Snakemake takes a value whose end repeats a part so often for an endless recursion of rules.
_PERIODIC = re.compile(r"(.+?)\1{19}")
#: The beginnings of tokens of known services.
_TOKEN = re.compile(
    r"(hf|sk|pk|rk|gsk|nvapi|gh[opsur]|github_pat|glpat|xox[abpr]|r8|dapi|wandb_v\d)_(?P<rest>\w+)"
    r"|(AKIA|ASIA)[A-Z0-9]{12,}|AIza\w{20,}|eyJ\w{16,}",
    re.ASCII,
)
#: The longest part of a path, and the longest path, in bytes (NAME_MAX and PATH_MAX of Linux).
_PART_BYTES, _PATH_BYTES = 255, 4095
#: The directories of a model's server, one for each of its allocations; see
#: :meth:`snakeval.serving.directory.DeploymentDirectory.folder`.
DEPLOYMENT = re.compile(r"deployment(?:-\d+)?")
#: Names that a run reserves next to its models' directories and in them.
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


def check_name(value: object) -> object:
    """Return a name that fits a directory and Snakemake's wildcards; else raise an error."""
    if value is None:
        raise PydanticCustomError("name", "is empty; write a name")
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PydanticCustomError(
            "name", "is not text in YAML, but {kind}; put the name in quotes", {"kind": kind}
        )
    if not _NAME.fullmatch(value):
        # ASCII escapes reveal a foreign letter that only looks like a Latin one.
        raise PydanticCustomError(
            "name",
            "{value} is not a valid name; {rule}",
            {"value": ascii(value), "rule": _RULE},
        )
    if found := _PERIODIC.search(value):
        raise PydanticCustomError(
            "name",
            "'{value}' repeats '{part}' 20 times, which Snakemake rejects; choose another name",
            {"value": value, "part": found[1]},
        )
    if value.lower() in _RESERVED or DEPLOYMENT.fullmatch(value.lower()):
        raise PydanticCustomError(
            "name",
            "'{value}' is the name of a file that snakeval writes; choose another name",
            {"value": value},
        )
    return value


def _variable(value: object) -> object:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        # The message omits the value, since users sometimes paste the key itself.
        raise PydanticCustomError(
            "variable",
            "is not the name of an environment variable; write the variable's name, never its "
            "value",
        )
    if looks_secret(value):
        raise PydanticCustomError(
            "variable", "looks like a secret; write the name of the variable that holds it"
        )
    return value


def looks_secret(text: str) -> bool:
    """Whether a valid name of a variable has the form of a token or a key.

    >>> [looks_secret(text) for text in ("hf_token", "hf_AbCdEf123456", "OPENAI_API_KEY_2")]
    [False, True, False]
    """
    if match := _TOKEN.fullmatch(text):
        rest = match["rest"]
        is_word = rest is not None and rest.islower() and not re.search(r"\d", rest)
        return not is_word or len(max(rest.split("_"), key=len)) >= 20
    if not re.fullmatch(r"[A-Za-z0-9]{20,}", text, re.ASCII):
        return False
    changes = len(re.findall(r"\d(?=[A-Za-z])|[A-Za-z](?=\d)", text))
    return changes >= 3 and not text.isupper()


def path_problem(text: str) -> str:
    """Return why a path is too long for a file system, or nothing."""
    parts = [os.fsencode(part) for part in text.split("/")]
    if (longest := max(map(len, parts))) > _PART_BYTES:
        return f"has a part of {longest} bytes, and {_PART_BYTES} is the most"
    if (whole := len(os.fsencode(text))) > _PATH_BYTES:
        return f"has {whole} bytes, and {_PATH_BYTES} is the most"
    return ""


def _path(value: object) -> object:
    if isinstance(value, str):
        # Snakemake reads {} as a wildcard and <> as one of its path variables.
        unfit = [char for char in value if char in "{}<>" or not char.isprintable()]
        if unfit or not value:
            raise PydanticCustomError(
                "path",
                "{why}; choose another path",
                {"why": f"cannot contain {unfit[0]!a}" if unfit else "is empty"},
            )
        if problem := path_problem(value):
            raise PydanticCustomError("path", "{why}; choose another path", {"why": problem})
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise PydanticCustomError(
                "path", "starts with ~ and an unknown user; write the whole path"
            ) from None
    return value


def _plain(value: object) -> object:
    """Check that a value exists in JSON; others would be lost or differ between runs (a set)."""
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PydanticCustomError(
                    "plain", "the key {key} is not text; put it in quotes", {"key": repr(key)}
                )
            _plain(value[key])
    elif isinstance(value, list):
        for item in value:
            _plain(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("plain", "must contain finite numbers only")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise PydanticCustomError(
            "plain",
            "contains a {kind}, which harnesses cannot read; put the value in quotes",
            {"kind": type(value).__name__},
        )
    return value


def _model_id(value: str) -> str:
    if "${" in value:
        raise PydanticCustomError(
            "name",
            "has ${…}, which a file without `defaults:` does not resolve; write the value, or "
            "add defaults: [_self_] and write ${oc.env:NAME}",
        )
    if value in (".", ".."):  # harnesses name a directory after the model
        raise PydanticCustomError(
            "name", "is '{value}', which no server lists; correct it", {"value": value}
        )
    return value


ModelId = Annotated[str, AfterValidator(_model_id)]
Name = Annotated[str, BeforeValidator(check_name)]
PathText = Annotated[str, BeforeValidator(_path)]
Plain = Annotated[dict[str, Any], BeforeValidator(_plain)]
Variable = Annotated[str, BeforeValidator(_variable)]

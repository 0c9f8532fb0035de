"""Defines the section ``execution``: the requests to a scheduler, which change no score."""

from __future__ import annotations

import math
import re
import shlex
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PositiveInt,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from snakeval import plugins
from snakeval.config.sections import Extensible
from snakeval.config.types import Strict

#: The forms of sbatch (https://slurm.schedmd.com/sbatch.html#OPT_time); the last one has days.
_WALLTIMES = (
    re.compile(r"(?P<m>\d+)(:(?P<s>[0-5]?\d))?", re.ASCII),
    re.compile(r"(?P<h>\d+):(?P<m>[0-5]?\d):(?P<s>[0-5]?\d)", re.ASCII),
    re.compile(r"(?P<d>\d+)-(?P<h>\d+)(:(?P<m>[0-5]?\d)(:(?P<s>[0-5]?\d))?)?", re.ASCII),
    # As people write it: 1d, 4h, 1d12h, 90m.
    re.compile(r"(?=\d)((?P<d>\d+)d ?)?((?P<h>\d+)h ?)?((?P<m>\d+)m(in)?)?", re.ASCII),
)
#: A larger number may be 4:00:00, which YAML 1.1 reads as 14400.
_LARGEST_NUMBER = 3599
#: Minutes of ten years. Slurm counts minutes in 32 bits, and a longer walltime is a mistake.
_LONGEST = 3650 * 24 * 60
#: Flags that Snakemake's Slurm executor sets itself, or that have their own key in this section.
_TAKEN = (
    "account", "comment", "constraint", "cpus-per-task", "error", "exclusive", "export", "gpus",
    "gres", "job-name", "mem", "nodes", "output", "partition", "qos", "time",
)  # fmt: skip
#: The short forms of these flags.
_SHORT = {"-A", "-C", "-J", "-N", "-c", "-e", "-o", "-p", "-q", "-t", "-G"}


def _minutes(value: object) -> object:
    """Return the minutes of a walltime, rounded up."""
    if value is None:
        return value
    if isinstance(value, int) and 0 < value <= _LARGEST_NUMBER:
        return value
    if isinstance(value, str):
        for form in _WALLTIMES:
            if match := form.fullmatch(value.strip()):
                # A number of thousands of digits is infinite as a float, and no error.
                part = {key: float(text) for key, text in match.groupdict("0").items()}
                hours = 24 * part.get("d", 0) + part.get("h", 0)
                minutes = 60 * hours + part.get("m", 0) + math.ceil(part.get("s", 0) / 60)
                if 0 < minutes <= _LONGEST:
                    return int(minutes)
    raise PydanticCustomError(
        "walltime",
        "is not a walltime of 1 minute to 3650 days; write 4h, 1d, or hours, minutes and seconds "
        'in quotes: "04:00:00"',
    )


def _text(minutes: int | None) -> str | None:
    return None if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}:00"


#: Minutes. A saved configuration has them in sbatch's form, and loads as an equal one.
Walltime = Annotated[int, BeforeValidator(_minutes), PlainSerializer(_text)]


class Slurm(Strict):
    """The options of sbatch. The profile, and then the cluster, set the defaults.

    Each evaluation of an endpoint is a job. A model that snakeval serves is one job (an allocation)
    with its evaluations; the last three keys may divide it into several.
    """

    account: str | None = Field(default=None, min_length=1)
    partition: str | None = Field(default=None, min_length=1)
    cpu_partition: str | None = Field(
        default=None, min_length=1, description="for evaluations without GPUs; null = partition"
    )
    qos: str | None = Field(default=None, min_length=1)
    walltime: Walltime | None = Field(
        default=None, description="limit of one job; another job resumes it"
    )
    max_total_walltime: Walltime | None = Field(
        default=None, description="limit of a job and all jobs that resume it; null = no limit"
    )
    gres: str | None = Field(
        default=None,
        pattern=r"^\w+(:[\w.]+)?(:\d+[TGM]?)?$",
        description="GPUs as --gres, such as gpu:8; null = --gpus with the model's number of GPUs",
    )
    constraint: str | None = Field(default=None, min_length=1)
    exclusive: bool = False
    cpus_per_task: PositiveInt | None = Field(
        default=None, description="null = one for each evaluation that runs at the same time"
    )
    mem_mb: PositiveInt | None = Field(
        default=None, description="null = the memory of `resources` and deployments"
    )
    comment: str | None = Field(default=None, min_length=1)
    extra_flags: str = Field(default="", description="other flags of sbatch")
    head_walltime: Walltime | None = Field(
        default=None,
        description="limit of Snakemake's own job with --head-on-cluster; another job resumes it",
    )
    evaluations_per_allocation: PositiveInt | None = None
    max_walltime_per_allocation: Walltime | None = Field(
        default=None, description="evaluations of one allocation fit in this; null = walltime"
    )
    allocations_per_model: PositiveInt | None = None

    @field_validator("extra_flags", mode="before")
    @classmethod
    def _joined(cls, value: object) -> object:
        if isinstance(value, (list, tuple)) and all(isinstance(flag, str) for flag in value):
            return " ".join(value)
        return value

    @field_validator("extra_flags")
    @classmethod
    def _free(cls, value: str) -> str:
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise PydanticCustomError(
                "flags", "are not flags of sbatch: {why}; correct them", {"why": str(error).lower()}
            ) from None
        for word in words:
            name = word.partition("=")[0]
            if name.removeprefix("--") in _TAKEN or name in _SHORT:
                raise PydanticCustomError(
                    "flags",
                    "contains {flag}, which has its own key or which snakeval sets; remove it",
                    {"flag": name},
                )
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        longest = self.max_walltime_per_allocation
        if longest and self.walltime and longest > self.walltime:
            raise PydanticCustomError(
                "walltime", "has max_walltime_per_allocation above walltime; lower it"
            )
        return self


class Execution(Extensible):
    """The requests to schedulers, for all jobs, for a model's jobs or for a benchmark's.

    An executor of another package has a section of its name, with the schema that the executor
    declares. Those sections are in :attr:`installed`.
    """

    slurm: Slurm = Slurm()


def is_section(name: object) -> bool:
    """Return whether ``execution`` may have the key *name*: the name of a known executor."""
    return name in Execution.model_fields or name in plugins.installed(plugins.EXECUTORS)


#: The keys of a whole allocation, which a benchmark cannot set.
PACKING = frozenset(
    {"evaluations_per_allocation", "max_walltime_per_allocation", "allocations_per_model"}
)

"""Describes planned jobs in Slurm's words, and asks the site which of them it refuses."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.matrix.planned_jobs import PlannedJob, planned

if TYPE_CHECKING:
    from snakeval.config.config import Config

#: How many jobs, and how many members of a job, are listed at most.
_MOST, _MOST_MEMBERS = 20, 12
_SECONDS = 20
#: Resources of Snakemake -> options of sbatch.
_OPTIONS: Mapping[str, str] = {
    "slurm_account": "account",
    "slurm_partition": "partition",
    "qos": "qos",
    "runtime": "time",
    "gpu": "gpus",
    "gres": "gres",
    "mem_mb": "mem",
    "nodes": "nodes",
    "cpus_per_task": "cpus-per-task",
    "constraint": "constraint",
}


def lines(jobs: Sequence[PlannedJob]) -> list[str]:
    """Return a line for each job: what it requests, and its members."""
    if not jobs:
        return []
    found = [f"Slurm jobs: {len(jobs)}"]
    for job in jobs[:_MOST]:
        members = ", ".join(job.members[:_MOST_MEMBERS])
        if len(job.members) > _MOST_MEMBERS:
            members += f", {len(job.members) - _MOST_MEMBERS} more"
        found.append(f"  {job.name}: {_request(job.resources)}" + (f": {members}" * bool(members)))
    if len(jobs) > _MOST:
        found.append(f"  {len(jobs) - _MOST} more jobs")
    return found


def _request(asked: Mapping[str, str | int]) -> str:
    parts = [
        f"account {asked.get('slurm_account', 'default')}",
        f"partition {asked.get('slurm_partition', 'default')}",
        f"QOS {asked.get('qos', 'default')}",
        f"walltime {walltime(asked.get('runtime'))}",
        f"GPUs {asked.get('gres') or asked.get('gpu', 0)}",
        f"memory {asked['mem_mb']} MiB" if "mem_mb" in asked else "memory default",
        f"nodes {asked.get('nodes', 1)}",
    ]
    return ", ".join(parts)


def walltime(minutes: str | int | None) -> str:
    """Return minutes as people write a walltime: ``04:00:00``."""
    if not isinstance(minutes, int):
        return str(minutes or "default")
    return f"{minutes // 60:02}:{minutes % 60:02}:00"


def options(job: PlannedJob) -> list[str]:
    """Return the options of sbatch of a job."""
    asked = job.resources
    found = [f"--{option}={asked[name]}" for name, option in _OPTIONS.items() if name in asked]
    return [*found, *shlex.split(str(asked.get("slurm_extra", "")))]


def refusals(jobs: Iterable[PlannedJob]) -> Iterator[str]:
    """Ask the site once for all jobs alike; yield a sentence for each refusal.

    A site without ``sbatch`` here is not asked.
    """
    if shutil.which("sbatch") is None:
        return
    alike: dict[tuple[str, ...], list[PlannedJob]] = {}
    for job in jobs:
        alike.setdefault(tuple(options(job)), []).append(job)
    limits, longest = _partition_limits(), _qos_limits()
    for asked, members in alike.items():
        names = ", ".join(job.name for job in members[:_MOST_MEMBERS])
        if len(members) > _MOST_MEMBERS:
            names += f" and {len(members) - _MOST_MEMBERS} more"
        resources = members[0].resources
        problems = [
            _test(asked),
            _above(resources, "slurm_partition", limits, "partition"),
            _above(resources, "qos", longest, "QOS"),
        ]
        yield from (f"{names}: {problem}" for problem in problems if problem)


def planned_by(config: Config, settings: Mapping[str, Any]) -> list[PlannedJob]:
    """Return the jobs of a whole configuration with the *settings* of a profile, for ``doctor``.

    Nothing if the configuration sets nothing for Slurm.
    """
    from snakeval.matrix.allocations import Allocations
    from snakeval.matrix.expand import deployments, expand

    selected = {(e.model, e.benchmark): e for e in expand(config)}
    allocations = Allocations(
        config,
        selected,
        deployments(config),
        remote=True,
        slots=int(settings.get("cores") or 1),
        saved=Path(os.devnull),
        head=True,
        missing=lambda evaluation: True,
        busy=lambda: False,
    )
    if not allocations.requests.configured:
        return []
    return planned(allocations, selected, _defaults(settings), lambda evaluation: True)


def _defaults(settings: Mapping[str, Any]) -> dict[str, str | int]:
    """Return the default-resources of a profile, which are texts ``name=value`` or a mapping."""
    given = settings.get("default-resources") or {}
    pairs = given.items() if isinstance(given, Mapping) else (t.split("=", 1) for t in given)
    found: dict[str, str | int] = {}
    for name, value in pairs:
        text = str(value).strip("'\"")
        found[str(name)] = int(text) if text.isdigit() else text
    return found


def _test(asked: Sequence[str]) -> str:
    """Let sbatch check a request without submitting it; return its words if it refuses."""
    done = _run("sbatch", "--test-only", *asked, input="#!/bin/sh\n")
    if done is None or done.returncode == 0:
        return ""
    said = done.stderr.replace("sbatch: error: ", "").replace("allocation failure: ", "")
    return f"{'; '.join(dict.fromkeys(said.strip().splitlines()))} ({shlex.join(asked)})"


def _above(asked: Mapping[str, str | int], name: str, limits: Mapping[str, int], noun: str) -> str:
    """Return the problem if the walltime is above the limit of the partition or the QOS.

    Slurm accepts such a job, which then waits forever.
    """
    place, minutes = str(asked.get(name, "")), asked.get("runtime")
    known = [limits[each] for each in place.split(",") if each in limits]
    if isinstance(minutes, int) and known and minutes > max(known):
        return (
            f"walltime {walltime(minutes)} is above the limit of {noun} {place}, "
            f"{walltime(max(known))}"
        )
    return ""


def _partition_limits() -> dict[str, int]:
    return _limits(_run("sinfo", "-h", "-a", "-o", "%R|%l"))


def _qos_limits() -> dict[str, int]:
    return _limits(_run("sacctmgr", "-n", "-P", "show", "qos", "format=name,maxwall"))


def _limits(done: subprocess.CompletedProcess[str] | None) -> dict[str, int]:
    """Read rows of a name and a time limit; return the minutes of those that have a limit."""
    found = {}
    for line in (done.stdout if done is not None and done.returncode == 0 else "").splitlines():
        name, _, limit = line.partition("|")
        if (minutes := minutes_of(limit)) is not None:
            found[name] = minutes
    return found


def minutes_of(limit: str) -> int | None:
    """Read a time limit of Slurm, ``[days-]hours:minutes:seconds``; None if it is another text."""
    days, _, clock = limit.strip().rpartition("-")
    parts = clock.split(":")
    if not 2 <= len(parts) <= 3 or not all(part.isdigit() for part in [*parts, days or "0"]):
        return None
    *hours, minutes, _ = map(int, parts)
    return 24 * 60 * int(days or 0) + 60 * sum(hours) + minutes


def _run(*command: str, input: str | None = None) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command, input=input, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None

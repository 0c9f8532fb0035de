"""Asks Slurm: squeue for current jobs, sacct for forgotten ones, scancel to cancel jobs."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from snakemake_executor_plugin_slurm_resume.states import Seen

#: A busy controller answers slowly; a controller that is down fails sooner.
_SECONDS = 60
#: Ids per call of scancel or sacct, because the length of a command line is limited.
_CHUNK = 500
#: The beginning of scancel's line for each job; the rest is the same.
_KILL_ERROR = re.compile(r"scancel: error: Kill job error on job id \S+: ")
#: A user's own settings for the terminal, which change the output.
_PERSONAL = ("SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_", "SLURM_TIME_FORMAT")
#: The last one may contain the separator.
_SQUEUE = ("%A", "%T", "%M", "%l", "%N", "%e", "%r", "%j", "%Z")
_SACCT = ("JobIDRaw", "State", "ElapsedRaw", "TimelimitRaw", "NodeList", "End", "ExitCode")


class UnansweredError(Exception):
    """Slurm does not answer, which reveals nothing about a job."""


class NoAccountingError(Exception):
    """The cluster has no accounting, or no sacct."""


class Deadline:
    """The end of this Snakemake, in the time of :func:`time.monotonic`: no call outlives it."""

    def __init__(self) -> None:
        self.at = math.inf

    def within(self, seconds: float) -> None:
        """End in *seconds* at the latest. It is safe in the handler of a signal."""
        self.at = min(self.at, time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether Slurm is not asked any more."""
        return time.monotonic() >= self.at


deadline = Deadline()
#: How often a call looks whether this Snakemake ends, in seconds.
_LOOK_SECONDS = 0.2


class Limits(NamedTuple):
    """The time limits of a partition in seconds; None is no limit."""

    default: int | None
    longest: int | None


def queue(clusters: Iterable[str] = ()) -> dict[str, Seen]:
    """Return all jobs of this user that the controller knows, also ended ones, by id.

    Raises:
        UnansweredError: the controller does not answer.
    """
    command = ["squeue", "-h", "-a", "-t", "all", "-u", str(os.geteuid()), "-o", "|".join(_SQUEUE)]
    found = {}
    for row in _rows([*command, *_of(clusters)], len(_SQUEUE)):
        number, state, used, limit, node, ended, reason, name, place = row
        elapsed = seconds(used) or 0
        found[number] = Seen(
            number,
            state,
            elapsed,
            seconds(limit),
            node,
            reason,
            ended,
            name,
            total=elapsed,
            place=place,
        )
    return found


def accounting(numbers: Iterable[str], clusters: Iterable[str] = ()) -> dict[str, Seen]:
    """Return the accounting's entries of these jobs, by id; ``total`` counts their requeues.

    Raises:
        NoAccountingError: the cluster has no accounting.
        UnansweredError: the accounting does not answer now.
    """
    found: dict[str, Seen] = {}
    for chunk in _chunks(numbers):
        command = ["sacct", "-D", "-X", "-n", "-P", "-j", ",".join(chunk), "-o", ",".join(_SACCT)]
        for number, state, used, limit, node, ended, code in _rows(
            [*command, *_of(clusters)], len(_SACCT)
        ):
            elapsed = int(used or 0)
            total = elapsed + (found[number].total if number in found else 0)
            minutes = int(limit) * 60 if limit.isdigit() else None
            where = "" if node.startswith("None") else node
            exit_code = int(code.partition(":")[0] or 0)
            found[number] = Seen(
                number, state, elapsed, minutes, where, "", ended, exit_code=exit_code, total=total
            )
    return found


def cancel(numbers: Iterable[str], clusters: Iterable[str] = ()) -> list[str]:
    """Cancel these jobs; return the messages of scancel."""
    said = []
    for chunk in _chunks(numbers):
        try:
            _ask(["scancel", *_of(clusters), *chunk])
        except (UnansweredError, NoAccountingError) as error:
            parts = (part.strip() for part in _KILL_ERROR.split(str(error)))
            said.append(" ".join(dict.fromkeys(part for part in parts if part)))
    return said


def limits() -> Mapping[str, Limits]:
    """Return the time limits of all partitions.

    Raises:
        UnansweredError: the controller does not answer.
    """
    rows = _rows(["sinfo", "-h", "-a", "-o", "%R|%L|%l"], 3)
    return {name: Limits(seconds(default), seconds(longest)) for name, default, longest in rows}


def manager(what: str, fields: str, *names: str) -> list[list[str]]:
    """Return the rows of the accounting's table *what*: qos, assoc or user.

    Raises:
        NoAccountingError, UnansweredError: there is no accounting, or no answer.
    """
    columns = fields.count(",") + 1
    command = ["sacctmgr", "-n", "-P", "show", what, *names, f"format={fields}"]
    return list(_rows(command, columns))


def why_no_accounting() -> str:
    """Return why the accounting does not answer; empty if it does.

    The controller knows the accounts without it, and rejects those that do not exist.
    """
    try:
        manager("cluster", "Cluster")
    except (UnansweredError, NoAccountingError) as error:
        return str(error).rpartition("error: ")[2]
    return ""


def partition_qos(name: str) -> set[str]:
    """Return the QOS whose limits hold in a partition, if it has one.

    Raises:
        UnansweredError: the controller does not answer.
    """
    found = re.search(r" QoS=(\S+)", _ask(["scontrol", "show", "partition", "-o", name]))
    return {found[1]} - {"N/A"} if found else set()


def seconds(text: str) -> int | None:
    """Read ``[days-][[hours:]minutes:]seconds``; None for other texts, such as UNLIMITED.

    >>> seconds("1-02:00:05")
    93605
    """
    matched = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text.strip())
    if matched is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in matched.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _chunks(numbers: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(numbers)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def _of(clusters: Iterable[str]) -> list[str]:
    return [f"--clusters={','.join(sorted(clusters))}"] if clusters else []


def _rows(command: list[str], columns: int) -> Iterator[list[str]]:
    for line in _ask(command).splitlines():
        row = line.split("|", columns - 1)
        if len(row) == columns:  # not the heading of a cluster
            yield [field.strip() for field in row]


def _ask(command: list[str]) -> str:
    if deadline.is_over:
        raise UnansweredError(f"{command[0]}: not asked, since Snakemake ends")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_PERSONAL)
    }
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # the terminal's Ctrl-C must not reach it
        )
    except FileNotFoundError:
        if command[0] == "sacct":
            raise NoAccountingError("sacct is not installed") from None
        raise UnansweredError(f"{command[0]} is not on the PATH") from None
    except OSError as error:
        raise UnansweredError(f"{command[0]}: {error}") from None
    output, errors = _answer(process, command[0])
    if process.returncode != 0:
        said = " ".join(errors.split()) or f"it exited with {process.returncode}"
        if "accounting storage is disabled" in said:
            raise NoAccountingError(said)
        raise UnansweredError(f"{command[0]}: {said}")
    return output


def _answer(process: subprocess.Popen[str], program: str) -> tuple[str, str]:
    """Return what a command prints; end it if it takes too long, or if this Snakemake ends."""
    began = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            waited = time.monotonic() - began
            if waited < _SECONDS and not deadline.is_over:
                continue
        process.kill()
        process.communicate()
        raise UnansweredError(f"{program} does not answer within {waited:.0f} s")

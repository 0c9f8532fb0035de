"""Explains why a job failed: its state, exit code, last log lines, events, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import TIMED_OUT
from snakemake_executor_plugin_lepton.transport.log import MARK

LOG_LINES = 50

_IMAGE = "its image cannot be pulled"
_CONTAINER = "its container cannot start (a secret or a volume is missing)"
#: Kubernetes' reasons that never pass without help, in two vocabularies: why a container waits, and
#: the events of the kubelet, which are coarser. The service has them in its events.
_HOPELESS = {
    "InvalidImageName": "the name of its image is not valid",
    "InspectFailed": "the name of its image is not valid",
    "ImageInspectError": _IMAGE,
    "ErrImagePull": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "ImagePullBackOff": _IMAGE,
    "RegistryUnavailable": _IMAGE,
    "CreateContainerConfigError": _CONTAINER,
    "CreateContainerError": _CONTAINER,
    "Failed": "its image cannot be pulled, or its container cannot be created",
    # A container that has run does not run again, so this one was never created.
    "BackOff": "its image cannot be pulled, or its container cannot be created",
    "FailedMount": "a volume cannot be mounted",
    "FailedAttachVolume": "a volume cannot be mounted",
    "ConfigError": "its definition cannot be run",
}
#: A single failed pull may be a short problem of the registry.
_ENOUGH = 3


def warnings(events: Iterable[tuple[str, str, int]]) -> Counter[str]:
    """Return how often each reason was warned of."""
    counts: Counter[str] = Counter()
    for kind, reason, count in events:
        if kind == "Warning":
            counts[reason] += count or 1
    return counts


def hopeless(counts: Mapping[str, int]) -> str | None:
    """Return why a job that has not started never will, according to its warnings, or None."""
    known = {reason: number for reason, number in counts.items() if reason in _HOPELESS}
    if sum(known.values()) < _ENOUGH:
        return None
    # The finer vocabulary says more, if there is a choice.
    reason = max(known, key=lambda r: (r not in ("Failed", "BackOff"), known[r]))
    return f"{_HOPELESS[reason]} ({reason}, {known[reason]} times)"


def problem(
    *, receipt: Receipt | None, done: bool, broken: str | None, overdue: bool, runtime: int | None
) -> str | None:
    """Return the problem of an ended job, or None if the job succeeded."""
    if broken and not receipt:
        return broken
    if overdue or (runtime and receipt and receipt.exit == TIMED_OUT):
        return f"it ran longer than its runtime of {(runtime or 0) // 60} minutes"
    if receipt is None:
        if done:
            return "it completed, but its files did not come back"
        return "it ended without a receipt: it was killed, or could not start"
    if receipt.exit == 137:
        return "its command was killed (exit code 137), probably for its memory; increase mem_mb"
    if receipt.exit:
        return f"its command ended with exit code {receipt.exit}"
    return None


def readable(lines: Iterable[str]) -> str:
    """Return a job's log without the lines that transport its files."""
    return "".join(f"{line}\n" for line in lines if MARK not in line)


def text(
    *,
    job: str,
    state: str,
    problem: str,
    log: str,
    events: list[tuple[str, str, int]],
    console: str,
) -> str:
    """Return the text of a failure."""
    parts = [f"Lepton job {job}: {problem}. Its last state was {state}. See {console}"]
    warnings = [f"{reason} ({count} times)" for kind, reason, count in events if kind == "Warning"]
    if warnings:
        parts.append("Warnings of the platform: " + ", ".join(warnings))
    if tail := log.splitlines()[-LOG_LINES:]:
        parts.append("\n".join(["The end of its log:", *(f"    {line}" for line in tail)]))
    return "\n".join(parts) + "\n"

"""Explains why a job failed: its state, exit code, last log lines, events, and where to look."""

from __future__ import annotations

from collections.abc import Iterable

from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import TIMED_OUT
from snakemake_executor_plugin_lepton.transport.log import MARK

LOG_LINES = 50

#: Kubernetes' reasons that never pass without help. The service has them in its events.
_HOPELESS = {
    "InvalidImageName": "the name of its image is not valid",
    "ErrImagePull": "its image cannot be pulled",
    "ErrImageNeverPull": "its image cannot be pulled",
    "ImagePullBackOff": "its image cannot be pulled",
    "CreateContainerConfigError": "its container cannot start (a secret or a volume is missing)",
    "FailedMount": "a volume cannot be mounted",
    "ConfigError": "its definition cannot be run",
}
#: A single failed pull may be a short problem of the registry.
_ENOUGH = 3


def hopeless(events: Iterable[tuple[str, str, int]]) -> str | None:
    """Return why a job that has not started never will, according to its events, or None."""
    for kind, reason, count in events:
        if kind == "Warning" and reason in _HOPELESS and count >= _ENOUGH:
            return f"{_HOPELESS[reason]} ({reason}, {count} times)"
    return None


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

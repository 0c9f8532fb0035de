"""Explains why a job failed: its state, exit code, last log lines, events, and where to look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from snakemake_executor_plugin_lepton import reasons
from snakemake_executor_plugin_lepton.receipt import Receipt
from snakemake_executor_plugin_lepton.script import TIMED_OUT
from snakemake_executor_plugin_lepton.transport.log import MARK

LOG_LINES = 50


def warnings(events: Iterable[tuple[str, str, int]]) -> Counter[str]:
    """Return how often each reason was warned of."""
    counts: Counter[str] = Counter()
    for kind, reason, count in events:
        if kind == "Warning":
            counts[reason] += count or 1
    return counts


def hopeless(counts: Mapping[str, int]) -> str | None:
    """Return why a job that has not started never will, according to its warnings, or None."""
    reason = reasons.worst(counts)
    if reason is None:
        return None
    return f"{reasons.HOPELESS[reason]} ({reason}, {counts[reason]} times)"


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

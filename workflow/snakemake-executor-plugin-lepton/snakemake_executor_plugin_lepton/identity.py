"""Derives the names that find a job again: for people, after a lost answer, for the next head."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from pathlib import Path

#: The labels of this plugin's jobs. A run is one working directory, in which heads share jobs.
RUN = "snakemake-run"
JOB = "snakemake-job"
ATTEMPT = "snakemake-attempt"
RULE = "snakemake-rule"
HEAD = "snakemake-head"

MAX_NAME = 36
_HASH = 10


def run_id(private: Path) -> str:
    """Return the id of the run in this working directory, created at its first use."""
    file = private / "run-id"
    try:
        return str(uuid.UUID(file.read_text(encoding="ascii").strip()))
    except (FileNotFoundError, ValueError):
        private.mkdir(parents=True, exist_ok=True)
        made = str(uuid.uuid4())
        file.write_text(made + "\n", encoding="ascii")
        return made


def job_hash(*parts: object) -> str:
    """Return 32 hex digits that identify a job: its command, image, files and their content.

    A new head treats an earlier head's job as the same only if none of these has changed.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def job_name(prefix: str, rule: str, run: str, job: str, attempt: int) -> str:
    """Return ``<prefix>-<rule>-<hash>``: lower case, at most 36 characters, as Lepton requires."""
    digest = hashlib.sha256(f"{run} {job} {attempt}".encode()).hexdigest()[:_HASH]
    # Lepton's names begin with a letter.
    head = re.sub(r"[^a-z0-9]+", "-", f"{prefix}-{rule}".lower()).strip("-")
    head = head if head[:1].isalpha() else f"smk-{head}"
    return f"{head[: MAX_NAME - _HASH - 1].rstrip('-')}-{digest}"


def labels(run: str, job: str, attempt: int, rule: str, head: str = "") -> dict[str, str]:
    """Return the labels of a job."""
    value = re.sub(r"[^A-Za-z0-9_.-]", "-", rule)[:63].strip("-_.")
    return {RUN: run, JOB: job, ATTEMPT: str(attempt), RULE: value, HEAD: head}


def selector(run: str, job: str | None = None) -> str:
    """Return the label query for the jobs of *run*, or for one of them."""
    terms: Iterable[str] = [f"{RUN}={run}", *([f"{JOB}={job}"] if job else [])]
    return ",".join(terms)


def place_key(run: str, job: str, attempt: int) -> str:
    """Return the key of the files in transit of an attempt; *job* is the job's hash."""
    return f"{run[:8]}-{job[:20]}-{attempt}"

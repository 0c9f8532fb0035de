"""Names by which a job is found again: by people, after a lost answer, and by the next head."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from pathlib import Path

#: Labels of our jobs. A run is one working directory: another head there finds the same jobs.
RUN = "snakemake-run"
JOB = "snakemake-job"
ATTEMPT = "snakemake-attempt"
RULE = "snakemake-rule"
HEAD = "snakemake-head"

MAX_NAME = 36
_HASH = 10


def run_id(private: Path) -> str:
    """Return the id of the run in this working directory, made at its first use."""
    file = private / "run-id"
    try:
        return str(uuid.UUID(file.read_text(encoding="ascii").strip()))
    except (FileNotFoundError, ValueError):
        private.mkdir(parents=True, exist_ok=True)
        made = str(uuid.uuid4())
        file.write_text(made + "\n", encoding="ascii")
        return made


def job_hash(*parts: object) -> str:
    """Return 32 hex digits for what a job is: its command, image, files and their content.

    A job of a lost head is taken for the same one only if nothing that it was made of changed.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def job_name(prefix: str, rule: str, run: str, job: str, attempt: int) -> str:
    """Return ``<prefix>-<rule>-<hash>``: lower case and at most 36 characters, as is required."""
    digest = hashlib.sha256(f"{run} {job} {attempt}".encode()).hexdigest()[:_HASH]
    # Names begin with a letter.
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
